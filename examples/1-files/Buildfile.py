"""A static site: files only. Nothing runs, so it needs no base image and no privileges.

Try `pybuild build -o site`.
"""

from pybuild import State, scratch, target


@target(default=True)
def site(title: str = "Hello") -> State:
    """The site's files."""
    return (
        scratch()
        .copy("pages", "/srv", exclude=["*.draft"])
        .write("/srv/title.txt", f"{title}\n")
        .symlink("index.html", "/srv/home.html")
        .mkdir("/srv/uploads", mode=0o777)
    )
