"""The calls of a chain that make no vertex: they change what later steps, and the image, inherit.

`State` has them from here; each gives back a state with one member of its `config.Config` changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from pybuild._boundary import public
from pybuild.dsl import imageconfig
from pybuild.dsl.checks import check_variable
from pybuild.dsl.paths import checked
from pybuild.errors import ArgumentError

Made = TypeVar("Made")


class Configurable(ABC, Generic[Made]):
    """What has an environment, a working directory, a user, a shell, and an image config."""

    __slots__ = ()

    @abstractmethod
    def _with(self, member: str, value: object) -> Made:
        """The same with one member of the config changed."""

    # ------------------------------------------------------------------------- no vertex: context for later steps

    @public
    def env(self, variables: Mapping[str, str] | None = None, /, **kwargs: str) -> Made:
        """Set environment variables for later steps and for the image.

        Example:
            >>> from pybuild import image
            >>> image("alpine").env({"MAKEFLAGS": "-j4"}, LANG="C.UTF-8")
            <State alpine>
        """
        merged = {**(variables or {}), **kwargs}
        for name in merged:
            check_variable(name, "env(): name")
        return self._with("env", merged)

    @public
    def arg(self, variables: Mapping[str, str | None] | None = None, /, **kwargs: str | None) -> Made:
        """Set variables for later steps only, not for the image: the ARG of a Dockerfile.

        A variable that is None is declared, and not set.

        Example:
            >>> from pybuild import image
            >>> image("alpine").arg(VERSION="1.2").run("echo $VERSION")
            <ExecState echo $VERSION>
        """
        merged = {**(variables or {}), **kwargs}
        for name in merged:
            check_variable(name, "arg(): name")
        return self._with("arg", merged)

    @public
    def user(self, name: str) -> Made:
        """Set the user of later steps and of the image: `name|uid[:group|gid]`.

        Example:
            >>> from pybuild import image
            >>> image("alpine").user("nobody").run("id")
            <ExecState id>
        """
        return self._with("user", checked(name, "user(): name"))

    @public
    def shell(self, *argv: str) -> Made:
        """Set the shell that later command texts are given to, instead of the image's.

        Example:
            >>> from pybuild import image
            >>> image("alpine").shell("/bin/sh", "-e", "-u", "-c").run("make")
            <ExecState /bin/sh -e -u -c make>
        """
        if not argv:
            raise ArgumentError("shell(): at least the program is needed", hint='such as shell("/bin/sh", "-c")')
        return self._with("shell", argv)

    # ------------------------------------------------------------------- no vertex: image config of the result

    @public
    def entrypoint(self, *argv: str, shell: bool = False) -> Made:
        """Set the program that containers of the image run; without arguments, none.

        A command inherited from the base image is dropped, as in a Dockerfile.

        Args:
            argv: the program and its first arguments.
            shell: the only argument is a command text for the shell, that of `.shell()` or of the image.

        Example:
            >>> from pybuild import scratch
            >>> scratch().entrypoint("/app", "--serve")
            <State scratch>
        """
        return self._with("entrypoint", (imageconfig.process(argv, "entrypoint", by_shell=shell), shell))

    @public
    def cmd(self, *argv: str, shell: bool = False) -> Made:
        """Set the default arguments of the entrypoint, or the command when there is none.

        Args:
            argv: the arguments.
            shell: the only argument is a command text for the shell, that of `.shell()` or of the image.

        Example:
            >>> from pybuild import image
            >>> image("alpine").cmd("sleep", "infinity")
            <State alpine>
        """
        return self._with("cmd", (imageconfig.process(argv, "cmd", by_shell=shell), shell))

    @public
    def label(self, mapping: Mapping[str, str] | None = None, /, **kwargs: str) -> Made:
        """Add labels to the image.

        Example:
            >>> from pybuild import scratch
            >>> scratch().label({"org.opencontainers.image.title": "app"}, stage="release")
            <State scratch>
        """
        return self._with("labels", {**(mapping or {}), **kwargs})

    @public
    def expose(self, *ports: int | str) -> Made:
        """Note ports that containers of the image listen on: 80, `"53/udp"`, `"8000-8003"`.

        Example:
            >>> from pybuild import scratch
            >>> scratch().expose(80, "53/udp")
            <State scratch>
        """
        return self._with("exposed_ports", dict.fromkeys(imageconfig.port_names(ports)))

    @public
    def volume(self, *paths: str) -> Made:
        """Note directories that containers of the image keep outside of their file system.

        Example:
            >>> from pybuild import scratch
            >>> scratch().volume("/var/lib/data")
            <State scratch>
        """
        return self._with("volumes", dict.fromkeys(checked(path, "volume(): path") for path in paths))

    @public
    def onbuild(self, *instructions: str) -> Made:
        """Add Dockerfile instructions that run when a Dockerfile's FROM names the image.

        Example:
            >>> from pybuild import image
            >>> image("alpine").onbuild("COPY . /app", "RUN make -C /app")
            <State alpine>
        """
        return self._with("on_build", [checked(text, "onbuild(): instruction") for text in instructions])

    @public
    def export(self, *instructions: str) -> Made:
        """Add Dockerfile instructions that `IMPORT` of the image stands for: EXPORT, one of pybuild's extensions.

        Args:
            instructions: COPY, ENV and the like; in them, `--from=%` is the finished image.

        Example:
            >>> from pybuild import image
            >>> image("golang:1.25").export("COPY --from=% /usr/local/go /usr/local/go", "ENV GOPATH=/go")
            <State golang:1.25>
        """
        return self._with("exports", [checked(text, "export(): instruction") for text in instructions])

    @public
    def author(self, name: str) -> Made:
        """Set the author that the image config names.

        Example:
            >>> from pybuild import scratch
            >>> scratch().author("Ada <ada@example.com>")
            <State scratch>
        """
        return self._with("author", name)

    @public
    def stop_signal(self, signal: str | int) -> Made:
        """Set the signal that stops containers of the image, by name or number.

        Example:
            >>> from pybuild import scratch
            >>> scratch().stop_signal("SIGINT")
            <State scratch>
        """
        return self._with("stop_signal", imageconfig.signal_name(signal))

    @public
    def healthcheck(
        self,
        command: str | Sequence[str] | None,
        *,
        interval: float | str = 0,
        timeout: float | str = 0,
        start_period: float | str = 0,
        start_interval: float | str = 0,
        retries: int = 0,
    ) -> Made:
        """Set how to find out whether a container of the image works; None turns an inherited check off.

        Args:
            command: text for the shell, or a list of arguments.
            interval: time between checks, in seconds or as text such as `30s`; 0 leaves it to the engine.
            timeout: how long one check may take.
            start_period: how long failures do not count at first.
            start_interval: time between checks during `start_period`.
            retries: how many failures in a row make a container unhealthy.

        Example:
            >>> from pybuild import image
            >>> image("nginx").healthcheck("curl -f http://localhost/", interval="30s", retries=3)
            <State nginx>
        """
        check = imageconfig.healthcheck(
            command,
            interval=interval,
            timeout=timeout,
            start_period=start_period,
            start_interval=start_interval,
            retries=retries,
        )
        return self._with("healthcheck", check)

    @public
    def image_config(self, config: Mapping[str, object]) -> Made:
        """Replace the image config: nothing of what was set so far, or of the image below, is inherited any more.

        Args:
            config: as the OCI image specification has it; the platform is that of the build where it names none.
                `rootfs` and `history` stay those of the layers.

        Raises:
            DefinitionError: a member has the wrong type.

        Example:
            >>> from pybuild import image
            >>> state = image("alpine").image_config({"config": {"Env": ["LANG=C"], "WorkingDir": "/srv"}})
            >>> state.run("pwd"), state.getenv("LANG")
            (<ExecState pwd>, 'C')
        """
        return self._with("image_config", imageconfig.given(config))

    @public
    def without_history(self) -> Made:
        """Leave what was set so far out of the image's history, as if the image had it from its base.

        Entries of layers stay: each layer has one.

        Example:
            >>> from pybuild import image
            >>> image("alpine").env(LANG="C.UTF-8").without_history().run("make")
            <ExecState make>
        """
        return self._with("history", None)
