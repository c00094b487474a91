"""Exercise 3: a part of a route may be in <...>; its value is the handler's second argument."""
from tests.exercises import support


class PathParameters(support.Exercise):
    """GET /planets/Mars -> You asked for Mars"""

    PAGES = '''
from router import route

@route("/planets/Ceres")
def ceres(request):
    return 200, "text/plain", "a dwarf planet"

@route("/planets/<name>")
def planet(request, name):
    return 200, "text/plain", f"You asked for {name}"

@route("/planets/Pluto")
def pluto(request):
    return 200, "text/plain", "a dwarf planet, too"

@route("/planets/<the-name_1>/moons")
def moons(request, of_planet):
    return 200, "text/plain", f"moons of {of_planet}"

@route("/pages/<name>.html")
def page(request, name):
    return 200, "text/plain", f"page {name}"

@route("/a.b+c*(d)[e]/<value>/f.g")
def fixed(request, value):
    return 200, "text/plain", value

@route("/both/<first>/ten")
def first_of_two(request, first):
    return 200, "text/plain", f"first route: {first}"

@route("/both/one/<second>")
def second_of_two(request, second):
    return 200, "text/plain", f"second route: {second}"

@route("/raises/<value>")
def raises(request, value):
    raise KeyError("raised by the handler")

@route("/nothing/<value>")
def forgetful(request, value):
    pass
'''

    def reach_goal(self):
        self.expect("GET /planets/Mars", 200, "You asked for Mars")

    def test_the_value_may_be_in_the_middle(self):
        self.expect("GET /planets/Mars/moons", 200, "moons of Mars")

    def test_the_value_may_be_a_part_of_a_segment(self):
        self.expect("GET /pages/a.b.html", 200, "page a.b")

    def test_a_query_changes_nothing(self):
        self.expect("GET /planets/Mars?colour=red", 200, "You asked for Mars")

    def test_head_works(self):
        self.expect("HEAD /planets/Mars", 200, "", {"Content-Length": "18"})

    def test_a_value_may_hold_any_character_and_is_decoded_once(self):
        table = [("x", "x"), ("1-2_3~4", "1-2_3~4"), ("a+b", "a+b"), ("two%20words", "two words"),
                 ("M%C3%A9t%C3%A9o", "Météo"), ("100%2525", "100%25"), ("%3Cname%3E", "<name>"),
                 ("two%0Alines", "two\nlines"), ("end%0A", "end\n"), ("a" * 100, "a" * 100)]
        for sent, value in table:
            self.expect(f"GET /planets/{sent}", 200, f"You asked for {value}")

    def test_a_path_that_does_not_fit_is_a_404(self):
        for path in ("/planets", "/planets/", "/planets/Mars/", "/planets/Mars/Phobos",
                     "/planets//moons", "/planets/Mars/moons%0A", "/x/planets/Mars",
                     "/planetsMars", "/pages/.html"):
            self.expect(f"GET {path}", 404)

    def test_everything_outside_the_brackets_means_itself(self):
        self.expect("GET /a.b+c*(d)[e]/1/f.g", 200, "1")
        for path in ("/aXb+c*(d)[e]/1/f.g", "/a.bbcc(d)[e]/1/f.g", "/a.b+c*(d)e/1/f.g",
                     "/A.b+c*(d)[e]/1/f.g", "/a.b+c*(d)[e]/1/fXg"):
            self.expect(f"GET {path}", 404)

    def test_a_route_without_brackets_wins(self):
        self.expect("GET /planets/Ceres", 200, "a dwarf planet")
        self.expect("GET /planets/Pluto", 200, "a dwarf planet, too")

    def test_of_two_routes_that_fit_the_first_wins(self):
        self.expect("GET /both/one/ten", 200, "first route: one")
        self.expect("GET /both/one/two", 200, "second route: two")

    def test_a_handler_that_raises_is_a_500(self):
        self.expect("GET /raises/1", 500)
        self.expect_on_console("raised by the handler")

    def test_a_wrong_response_is_a_500_and_the_console_names_the_handler(self):
        self.expect("GET /nothing/1", 500)
        self.expect_on_console("forgetful")
