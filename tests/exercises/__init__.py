"""The exercises: README.md in this folder explains them."""
