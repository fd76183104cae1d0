from pybuild import State, image, target


@target
def web() -> State:
    return (
        image("nginx:1.27", platform="linux/arm64")
        .env(LANG="C.UTF-8")
        .workdir("/srv")
        .user("www")
        .copy(["index.html", "css"], ".", owner="www:www", mode="u=rwX,go=rX")
        .symlink("index.html", "default.html")
        .remove("/etc/nginx/conf.d/*", wildcard=True, missing_ok=True)
        .write("/etc/motd", "hello\n", mode=0o600)
        .run(["nginx", "-t"], network="none", memory="256m")
        .named("check the configuration")
        .label({"org.opencontainers.image.title": "web"})
        .expose(80, "443-444/tcp")
        .volume("/var/cache/nginx")
        .stop_signal("SIGQUIT")
        .healthcheck("curl -f http://localhost/", interval="30s")
        .cmd("nginx", "-g", "daemon off;")
    )
