from pybuild import local

src = local(".", exclude=".git")  # E: local(): exclude must be Sequence[str], got the str '.git' # H: put it into a list: ['.git']
