"""States: what each call makes of the graph and of the image config, and how states behave as values."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import ClassVar

import pytest

from pybuild import State, bind, diff, image, local, merge, scratch
from pybuild.dsl.platforms import building_for
from pybuild.errors import ArgumentError, DefinitionError
from pybuild.llb.files import CopyAction, MkdirAction, MkfileAction, RmAction, SymlinkAction, UserName
from pybuild.llb.meta import Inherit, NetMode, SecurityMode
from pybuild.llb.ops import DiffOp, ExecOp, FileOp, MergeOp, SourceOp
from pybuild.oci.imageconfig import DEFAULT_PATH
from pybuild.platform import Platform


def exec_op(state: State) -> ExecOp:
    assert state.head is not None
    assert isinstance(state.head.vertex.op, ExecOp)
    return state.head.vertex.op


def actions(state: State) -> tuple[object, ...]:
    assert state.head is not None
    assert isinstance(state.head.vertex.op, FileOp)
    return state.head.vertex.op.actions


class TestRun:
    def test_shell_text_is_left_to_the_image(self) -> None:
        meta = exec_op(image("alpine").run("make")).meta
        assert (meta.args, meta.inherit, meta.cwd, meta.user, meta.env) == (
            ("make",),
            Inherit(shell=True),
            "",
            "",
            (),
        )

    def test_own_shell_wraps_at_once(self) -> None:
        meta = exec_op(scratch().shell("/bin/bash", "-ec").run("make")).meta
        assert (meta.args, meta.inherit) == (("/bin/bash", "-ec", "make"), Inherit(shell=False))
        assert exec_op(scratch().run("make", shell=["sh", "-c"])).meta.args == ("sh", "-c", "make")

    def test_list_runs_without_shell(self) -> None:
        meta = exec_op(scratch().run(["make", "-j4"])).meta
        assert (meta.args, meta.inherit) == (("make", "-j4"), Inherit(shell=False))

    def test_context_and_overrides(self) -> None:
        state = scratch().env(A="1", B="2").workdir("/src").user("me")
        meta = exec_op(state.run("x", env={"A": "3"}, workdir="sub", user="0")).meta
        assert (meta.env, meta.cwd, meta.user) == (("B=2", "A=3"), "/src/sub", "0")
        meta = exec_op(state.run("x")).meta
        assert (meta.env, meta.cwd, meta.user) == (("A=1", "B=2"), "/src", "me")
        assert exec_op(scratch().workdir("a").workdir("b").run("x")).meta.cwd == "a/b"

    def test_network_security_and_exit_codes(self) -> None:
        op = exec_op(scratch().run("x", network="none", security="insecure", valid_exit_codes={3, 0}))
        assert (op.network, op.security) == (NetMode.NONE, SecurityMode.INSECURE)
        assert op.meta.valid_exit_codes == (0, 3)
        assert exec_op(scratch().run("x")).meta.valid_exit_codes == ()

    def test_limits_name_and_cache_do_not_change_the_digest(self) -> None:
        plain = scratch().run("x")
        limited = scratch().run("x", memory="1g", cpus=1.5, timeout=10, name="limited", use_cache=False)
        assert plain.digest == limited.digest
        assert limited.head is not None
        metadata = limited.head.vertex.metadata
        assert metadata.resources is not None
        assert (metadata.resources.memory, metadata.resources.cpu_quota) == (1 << 30, 150_000)
        assert metadata.resources.timeout_seconds == 10
        assert (metadata.name, metadata.ignore_cache) == ("limited", True)

    def test_platform_of_the_image_binds_its_steps(self) -> None:
        state = image("alpine", platform="linux/arm64").run("x")
        assert state.head is not None
        assert state.head.vertex.constraints.platform == Platform("linux", "arm64")
        assert state.head.vertex.inputs[0].vertex.constraints.platform == Platform("linux", "arm64")

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"command": " "}, "command is empty"),
            ({"command": []}, "list of arguments is empty"),
            ({"command": "x", "shell": False}, "a text needs a shell"),
            ({"command": ["x"], "shell": ["sh"]}, "without a shell"),
            ({"command": "x", "env": {"A=B": "c"}}, "environment variable"),
            ({"command": "x", "valid_exit_codes": ()}, "must not be empty"),
            ({"command": "x", "memory": "much"}, "is not a size"),
            ({"command": "x", "cpus": 0.0}, "must be positive"),
            ({"command": "x", "timeout": -1.0}, "must be positive"),
        ],
    )
    def test_wrong(self, arguments: dict[str, object], text: str) -> None:
        with pytest.raises(ArgumentError, match=text):
            scratch().run(**arguments)  # type: ignore[arg-type]


class TestFiles:
    def test_copy_has_the_flags_of_the_dockerfile_frontend(self) -> None:
        (action,) = actions(image("alpine").copy("a", "b"))
        assert action == CopyAction(
            source="/a",
            dest="b",
            input=0,
            secondary_input=1,
            output=0,
            follow_symlink=True,
            dir_copy_contents=True,
            create_dest_path=True,
            allow_wildcard=True,
            allow_empty_wildcard=True,
        )

    @pytest.mark.parametrize(
        ("dest", "expected"),
        [
            (".", "/wd/"),
            ("./", "/wd/"),
            ("", "/wd/"),
            ("./sub", "/wd/sub"),
            ("sub/.", "/wd/sub/."),
            ("/", "/"),
            ("/x/.", "/x/."),
            ("/d/", "/d/"),
            ("c/../d", "/wd/d"),
        ],
    )
    def test_destinations(self, dest: str, expected: str) -> None:
        (action,) = actions(scratch().workdir("/wd").copy("a", dest))
        assert isinstance(action, CopyAction)
        assert action.dest == expected

    def test_destination_stays_relative_without_workdir(self) -> None:
        (action,) = actions(scratch().copy("a"))
        assert isinstance(action, CopyAction)
        assert action.dest == "./"

    @pytest.mark.parametrize(
        ("source", "expected"),
        [("../up", "/up"), ("./x/", "/x"), (".", "/"), ("a/../b", "/b"), ("hom*", "/hom*"), ("**/*.go", "/**/*.go")],
    )
    def test_sources(self, source: str, expected: str) -> None:
        (action,) = actions(scratch().copy(source, "/d/"))
        assert isinstance(action, CopyAction)
        assert action.source == expected

    def test_several_sources_are_one_vertex(self) -> None:
        state = image("alpine").copy(["e", "f"], "/g/")
        first, second = actions(state)
        assert isinstance(first, CopyAction)
        assert isinstance(second, CopyAction)
        assert (first.input, first.output, second.input, second.output) == (0, -1, 2, 0)
        assert len(state.graph()) == 3

    @pytest.mark.parametrize(
        ("source", "root", "patterns", "required"),
        [
            ("./x/a.txt", "/", ("x/a.txt",), ("/x/a.txt",)),
            ("./x/./y/*.txt", "/x", ("y/*.txt",), ()),
            ("./src/**/*.txt", "/", ("src/**/*.txt",), ()),
            ("a/./b/c", "/a", ("b/c",), ("/a/b/c",)),
            ("/abs/x", "/", ("abs/x",), ("/abs/x",)),
        ],
    )
    def test_parents(self, source: str, root: str, patterns: tuple[str, ...], required: tuple[str, ...]) -> None:
        (action,) = actions(scratch().copy(source, "/p/", parents=True))
        assert isinstance(action, CopyAction)
        assert (action.source, action.include_patterns, action.required_paths) == (root, patterns, required)

    @pytest.mark.parametrize(
        ("owner", "user", "group"),
        [
            ("55:mygroup", 55, UserName(name="mygroup", input=0)),
            ("bin", UserName(name="bin", input=0), None),
            ("1", 1, None),
            ("root:root", 0, 0),
            (":1000", 0, 1000),
            ("u:", UserName(name="u", input=0), 0),
        ],
    )
    def test_owners(self, owner: str, user: object, group: object) -> None:
        (action,) = actions(image("alpine").copy("a", "b", owner=owner))
        assert isinstance(action, CopyAction)
        assert action.owner is not None
        assert (action.owner.user, action.owner.group) == (user, group)

    @pytest.mark.parametrize(
        ("mode", "bits", "text"),
        [(None, -1, ""), (0o755, 493, ""), ("0644", 420, ""), ("7777", 4095, ""), ("u=rwX,go=rX", 0, "u=rwX,go=rX")],
    )
    def test_modes(self, mode: int | str | None, bits: int, text: str) -> None:
        (action,) = actions(scratch().copy("a", "/b", mode=mode))
        assert isinstance(action, CopyAction)
        assert (action.mode, action.mode_str) == (bits, text)

    def test_other_options(self) -> None:
        (action,) = actions(scratch().copy("a", "/b", include=["*.py"], exclude=["x"], unpack=True, follow_links=False))
        assert isinstance(action, CopyAction)
        assert (action.include_patterns, action.exclude_patterns) == (("*.py",), ("x",))
        assert action.attempt_unpack
        assert not action.follow_symlink

    def test_copy_from_states(self) -> None:
        built = scratch().workdir("/src").mkdir("out")
        for source, path in ((built, "/"), (built.path("out"), "/src/out"), (built.path("/etc"), "/etc")):
            (action,) = actions(image("alpine").copy(source, "/x"))
            assert isinstance(action, CopyAction)
            assert action.source == path
        (action,) = actions(image("alpine").copy(scratch(), "/x"))
        assert isinstance(action, CopyAction)
        assert action.secondary_input == -1

    def test_small_actions(self) -> None:
        base = scratch().workdir("/w")
        assert actions(base.mkdir("d", mode=0o700, owner="1:2"))[0] == MkdirAction(
            path="/w/d",
            mode=0o700,
            make_parents=True,
            output=0,
            owner=actions(base.mkdir("d", owner="1:2"))[0].owner,  # type: ignore[attr-defined]
        )
        assert actions(base.write("f", "hé"))[0] == MkfileAction(path="/w/f", data="hé".encode(), output=0)
        assert actions(base.symlink("../t", "l"))[0] == SymlinkAction(old_path="../t", new_path="/w/l", output=0)
        assert actions(base.remove("a*", missing_ok=True, wildcard=True))[0] == RmAction(
            path="/w/a*", allow_not_found=True, allow_wildcard=True, output=0
        )

    @pytest.mark.parametrize(
        "call",
        [
            lambda: scratch().copy([]),
            lambda: scratch().copy("a", owner="a:b:c"),
            lambda: scratch().copy("a", owner=""),
            lambda: scratch().copy("a", mode="999"),
            lambda: scratch().copy("a", mode=0o77777),
            lambda: scratch().write("/d/", "x"),
            lambda: scratch().mkdir(""),
            lambda: scratch().mkdir("a\0b"),
            lambda: scratch().remove("/"),
            lambda: scratch().env({"": "x"}),
            lambda: scratch().shell(),
            lambda: scratch().expose(0),
            lambda: scratch().expose("90-80"),
            lambda: scratch().stop_signal("sig term"),
            lambda: scratch().healthcheck([]),
            lambda: scratch().healthcheck("x", interval="soon"),
        ],
    )
    def test_wrong(self, call: object) -> None:
        with pytest.raises(ArgumentError) as caught:
            call()  # type: ignore[operator]
        assert caught.value.locations[0].file == __file__


class TestConfig:
    def test_patch(self) -> None:
        patch = (
            image("alpine")
            .env({"A": "1"}, B="2")
            .env(A="3")
            .workdir("/a")
            .workdir("b")
            .user("me:us")
            .shell("/bin/bash", "-c")
            .entrypoint("/app")
            .label({"x.y": "1"}, z="2")
            .expose(80, "53/udp", "8000-8001")
            .volume("/data")
            .stop_signal("SIGINT")
            .healthcheck("curl localhost", interval="30s", retries=3)
            .patch
        )
        assert patch.env == (("A", "3"), ("B", "2"))
        assert (patch.working_dir, patch.user, patch.shell) == ("/a/b", "me:us", ("/bin/bash", "-c"))
        assert (patch.entrypoint, patch.cmd, patch.cleared) == (("/app",), None, ("cmd",))
        assert patch.labels == (("x.y", "1"), ("z", "2"))
        assert patch.exposed_ports == ("80/tcp", "53/udp", "8000/tcp", "8001/tcp")
        assert (patch.volumes, patch.stop_signal) == (("/data",), "SIGINT")
        assert patch.healthcheck is not None
        assert patch.healthcheck.test == ("CMD-SHELL", "curl localhost")
        assert (patch.healthcheck.interval, patch.healthcheck.retries) == (30_000_000_000, 3)

    def test_entrypoint_with_own_cmd_clears_nothing(self) -> None:
        assert scratch().cmd("x").entrypoint("/app").patch.cleared == ()

    def test_config_makes_no_vertex(self) -> None:
        base = image("alpine")
        assert base.env(A="1").label(x="y").cmd("z").head is base.head


class TestComposition:
    def test_merge_and_diff(self) -> None:
        base = image("alpine").env(A="1")
        upper = base.run("x")
        merged = merge(base, scratch(), upper)
        assert merged.head is not None
        assert isinstance(merged.head.vertex.op, MergeOp)
        assert len(merged.head.vertex.inputs) == 2
        assert merged.patch.env == (("A", "1"),)
        assert merge(scratch(), base).head == base.head
        assert merge().head is None
        difference = diff(base, upper)
        assert difference.head is not None
        assert isinstance(difference.head.vertex.op, DiffOp)
        assert diff(scratch(), upper).head == upper.head

    def test_pipe_and_named(self) -> None:
        def twice(state: State, command: str) -> State:
            return state.run(command).run(command)

        state = scratch().pipe(twice, "x").named("second")
        assert state.head is not None
        assert state.head.vertex.name == "second"
        assert state.digest == scratch().run("x").run("x").digest
        with pytest.raises(DefinitionError, match="no step to name"):
            scratch().named("x")


class TestValue:
    def test_equality_is_digest(self) -> None:
        assert image("alpine").run("x") == image("alpine").run("x")
        assert image("alpine").run("x") != image("alpine").run("y")
        assert image("alpine").env(A="1") != image("alpine")
        assert len({scratch(), scratch(), scratch().mkdir("/a")}) == 2

    def test_misuse_gets_advice(self) -> None:
        state = scratch()
        for misuse in (bool, list, len, lambda s: setattr(s, "x", 1), lambda s: delattr(s, "_head"), lambda _: State()):
            with pytest.raises(DefinitionError) as caught:
                misuse(state)  # type: ignore[operator]
            assert caught.value.locations[0].file == __file__

    def test_mount_away_from_run_shows_both_lines(self) -> None:
        state = scratch().run("x").env(A="b")
        with pytest.raises(DefinitionError, match=r"must directly follow run\(\)") as caught:
            state.mount(bind(scratch(), "/x"))  # type: ignore[attr-defined]
        mount_line, state_line = (place.line for place in caught.value.locations)
        assert mount_line == state_line + 2
        assert not hasattr(scratch(), "mount")
        with pytest.raises(AttributeError, match='has no "foo"'):
            _ = scratch().foo  # type: ignore[attr-defined]

    def test_each_call_has_its_own_line(self) -> None:
        state = (
            scratch()
            .run("a")
            .run("b")
        )  # fmt: skip
        lines = [vertex.locations[0].line for vertex in state.graph().vertices]
        assert lines[1] == lines[0] + 1

    def test_pickle_and_copy(self) -> None:
        state = image("alpine").env(A="1").run("x").mount(bind(local("."), "/src"))
        again = pickle.loads(pickle.dumps(state))
        assert (again, type(again), again.location) == (state, type(state), state.location)
        assert again.mount(bind(scratch(), "/other")) != again
        assert copy.deepcopy(state) is state

    def test_long_chains(self) -> None:
        count = 20_000
        assert count > sys.getrecursionlimit()
        state: State = scratch()
        for number in range(count):
            state = state.run(["echo", str(number)])
        assert len(state.graph()) == count
        assert repr(state) == "<ExecState echo 19999>"
        again = pickle.loads(pickle.dumps(state))
        assert again == state
        assert hash(again) == hash(state)

    def test_long_config_chains(self) -> None:
        state: State = scratch()
        for number in range(20_000):
            state = state.label({f"key{number}": "x"})
        assert len(state.patch.labels) == 20_000

    def test_one_name_for_two_directories(self) -> None:
        state = scratch().copy(local("/a", name="n"), "/a").copy(local("/b", name="n"), "/b")
        with pytest.raises(DefinitionError, match="stands for two directories"):
            state.graph()

    def test_sources_are_sources(self) -> None:
        for state in (image("alpine"), local(".")):
            assert state.head is not None
            assert isinstance(state.head.vertex.op, SourceOp)


def test_an_empty_path_is_where_relative_ones_start() -> None:
    copied = scratch().workdir("/wd").copy("", "")
    assert isinstance(copied.head and copied.head.vertex.op, FileOp)
    (action,) = copied.head.vertex.op.actions  # type: ignore[union-attr]
    assert (action.source, action.dest) == ("/", "/wd/")  # type: ignore[union-attr]
    assert copied.patch.steps[-1].text == "COPY   # buildkit"
    assert scratch().workdir("/wd").workdir("").patch.working_dir == "/wd"


@pytest.mark.parametrize("path", ["", ".", "..", "/"])
def test_the_root_is_not_made(path: str) -> None:
    assert scratch().workdir(path, create=True).head is None


def test_what_was_set_so_far_can_be_left_out_of_the_history() -> None:
    made = scratch().env(A="1").write("/a", "a").user("me").without_history().env(B="2")
    assert [step.text for step in made.patch.steps] == ["WRITE /a # pybuild", "ENV B=2"]
    assert dict(made.patch.env) == {"A": "1", "B": "2"}
    assert made.patch.user == "me"


def test_paths_of_windows() -> None:
    with building_for(Platform("windows", "amd64")):
        made = image("nanoserver").workdir("C:\\app", create=True).copy("a", "sub\\").copy("b", "c:\\data\\")
    dests = [vertex.op.actions[0] for vertex in made.graph().vertices if isinstance(vertex.op, FileOp)]
    assert [getattr(action, "dest", "") or getattr(action, "path", "") for action in dests] == [
        "/app",
        "/app/sub/",
        "/data/",
    ]
    assert image("alpine").workdir("C:\\app").patch.working_dir == "C:\\app"


class TestImageConfig:
    CONFIG: ClassVar[dict[str, object]] = {
        "config": {"Env": ["A=b", "C=d"], "WorkingDir": "/srv", "User": "app", "Shell": ["/bin/bash", "-c"]}
    }

    def test_nothing_is_inherited_any_more(self) -> None:
        state = image("alpine").env(GONE="1").user("me").image_config(self.CONFIG)
        meta = exec_op(state.env(C="e").run("make")).meta
        assert (meta.args, meta.cwd, meta.user, meta.inherit) == (("/bin/bash", "-c", "make"), "/srv", "app", None)
        assert meta.env == ("A=b", f"PATH={DEFAULT_PATH}", "C=e")
        assert (state.getenv("A"), state.getenv("GONE"), state.getenv("PATH")) == ("b", "", DEFAULT_PATH)
        (made,) = actions(image("alpine").image_config({}).workdir("x", create=True))
        assert isinstance(made, MkdirAction)
        assert (made.path, made.owner, made.inherit_owner) == ("/x", None, False)

    def test_the_platform_is_that_of_the_build_unless_it_is_given(self) -> None:
        with building_for(Platform("linux", "riscv64")):
            made = [scratch().image_config(each).patch.base for each in ({}, {"architecture": "s390x", "os": "linux"})]
        assert [str(each.platform) for each in made if each is not None] == ["linux/riscv64", "linux/s390x"]

    def test_layers_keep_their_history_and_the_rest_goes(self) -> None:
        state = scratch().write("/a", "a").env(A="1").image_config({"history": [{"created_by": "x"}]}).user("me")
        assert [step.text for step in state.patch.steps][1:] == ["USER me"]
        assert state.patch.base is not None
        assert state.patch.base.history == ()

    @pytest.mark.parametrize("config", [{"config": {"Env": 3}}, {"config": []}, {"os": object()}])
    def test_wrong(self, config: dict[str, object]) -> None:
        with pytest.raises(DefinitionError):
            scratch().image_config(config)
