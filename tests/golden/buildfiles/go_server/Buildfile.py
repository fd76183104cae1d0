from pybuild import State, bind, cache, image, local, scratch, target

src = local(".", exclude=[".git", "dist"])
go_caches = (cache("/root/.cache/go-build"), cache("/go/pkg/mod", sharing="locked"))


@target
def binary(version: str = "dev") -> State:
    """Compile the server."""
    return (
        image("golang:1.24")
        .workdir("/src")
        .run(f"go build -ldflags='-X main.version={version}' -o /out/app ./cmd/app")
        .mount(bind(src, "/src"), *go_caches)
    )


@target(default=True)
def app(version: str = "dev") -> State:
    return scratch().copy(binary(version).path("/out/app"), "/app").entrypoint("/app")
