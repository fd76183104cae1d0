from pybuild import State, image, target


def report(title: str, *, lines: int = 1) -> None:
    with open("/report", "w") as file:
        file.write(title * lines)


@target
def reported() -> State:
    return image("python:3.11").call(report, "hello", lines=2)
