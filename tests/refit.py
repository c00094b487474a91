"""Move a change of the modules into the steps, so that the last step is the project again.

    python tests/refit.py            in each step that has the lines which were changed
    python tests/refit.py 8          the same, but only from step 8 on
    python tests/refit.py 8 FOLDER   let step 8, and no other, be what is in a folder: that of
                                     python tests/steps.py 8 --write FOLDER, after your changes
    python tests/refit.py OLD NEW    first give a function another name in all steps

It says which steps have got each change; the others keep their lines. The tutorial is changed in
the same way. Then run python -m unittest tests.test_steps: where a function has moved, it may name
steps that have it twice, to be changed by hand in a folder.
"""
import ast
import difflib
import pathlib
import re
import sys

import steps as ladder


def find_changes(old, new):
    """Return (lines, lines in their place) for each change."""
    opcodes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for tag, start, end, new_start, new_end in opcodes:
        if tag == "replace" and end - start == new_end - new_start:
            for number in range(end - start):  # a line at a time, because not all steps have all
                yield [old[start + number]], [new[new_start + number]]
        elif tag != "equal":
            before = old[start - 1:start]
            after = old[end:end + 1]
            yield before + old[start:end] + after, before + new[new_start:new_end] + after


def replace(lines, old, new):
    """Return the lines with the one place that is old replaced; unchanged if there is not one."""
    places = [at for at in range(len(lines)) if lines[at:at + len(old)] == old]
    if len(places) != 1:
        return lines
    return lines[:places[0]] + new + lines[places[0] + len(old):]


def move_in(steps, since):
    """Change the steps from this one on as the project was changed, and the tutorial, too."""
    tutorial = ladder.read_lines(ladder.STEPS / "README.md")
    for name in ladder.MODULES:
        project = ladder.read_lines(ladder.PROJECT / name)
        for old, new in find_changes(steps[-1][name], project):
            changed = []
            for step in range(since, len(steps) - 1):
                lines = replace(steps[step][name], old, new)
                if lines != steps[step][name]:
                    steps[step][name] = lines
                    changed.append(step)
            tutorial = replace(tutorial, old, new)
            text = next((line.strip() for line in new if line not in old), old[0].strip())
            print(f"{name}, {text!r}: steps {[*changed, len(steps) - 1]}")
        steps[-1][name] = project
    save("README.md", tutorial)


def rename(steps, old, new):
    """Replace a name in all steps and in the tutorial."""
    def change(lines):
        return [re.sub(rf"\b{re.escape(old)}\b", new, line) for line in lines]
    for files in steps:
        files.update({name: change(lines) for name, lines in files.items()})
    save("README.md", change(ladder.read_lines(ladder.STEPS / "README.md")))


def find_function(text, name, lines):
    """Return the function or class in which a hunk begins, to stand behind its numbers."""
    match = re.match(r"@@ -(\d+)", text)
    if not match or not name.endswith(".py"):
        return ""
    around = [node.lineno for node in ast.walk(ast.parse("\n".join(lines)))
              if isinstance(node, (ast.FunctionDef, ast.ClassDef))
              and node.lineno < int(match[1]) <= node.end_lineno]
    return f" {lines[max(around) - 1].strip()}" if around else ""


def save_diffs(steps):
    """Write what leads from each step to the next."""
    for step in range(1, len(steps)):
        diff = []
        for name, lines in steps[step].items():
            before = steps[step - 1].get(name, [])
            title = f"a/{name}" if before else "/dev/null"
            for text in difflib.unified_diff(before, lines, title, f"b/{name}", lineterm=""):
                diff.append(text + find_function(text, name, before))
        save(f"{step}.diff", diff)


def save(name, lines):
    """Write a file of the steps, and say so if that changes it."""
    path = ladder.STEPS / name
    if lines != ladder.read_lines(path):
        print(f"changes tests/steps/{name}")
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def main():
    """Change the steps, and say how."""
    steps = ladder.read_steps()
    arguments = sys.argv[1:]
    is_step = arguments != [] and arguments[0] in map(str, range(len(steps)))
    since = int(arguments[0]) if is_step else None
    if len(arguments) == 2 and since is not None:
        steps[since] = ladder.read_folder(pathlib.Path(arguments[1]))
        if "main.py" not in steps[since]:
            sys.exit(f"there is no main.py in {arguments[1]}")
    elif len(arguments) == 2:
        rename(steps, *arguments)
        move_in(steps, 0)
    elif len(arguments) == 0 or since is not None:
        move_in(steps, since or 0)
    else:
        sys.exit(__doc__)
    for name, lines in steps[0].items():
        save(f"0/{name}", lines)
    save_diffs(steps)


if __name__ == "__main__":
    main()
