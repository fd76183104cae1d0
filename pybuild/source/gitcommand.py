"""Running the `git` program: cut off from the user's configuration, with credentials that nobody else sees.

Credentials travel in the child's environment (`GIT_CONFIG_*`), never on a command line or in a file; a user and
password in a URL are taken out of it and sent in the same way. Mirrors util/gitutil/git_cli.go.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from pybuild.errors import EngineUnavailable, SourceFetchError
from pybuild.protocols import Session
from pybuild.source.gitsettings import GitSettings
from pybuild.temporary import TemporaryFolder

_PASSED: Final = (
    *("PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("all_proxy", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_CONFIG: Final = {
    "safe.directory": "*",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.http.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.git.allow": "always",
    "init.defaultBranch": "master",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
    "core.hooksPath": os.devnull,
    "credential.helper": "",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}
_GITHUB: Final = ("https://github.com/", "https://www.github.com/")
_ATTEMPTS: Final = 3
_TRANSIENT = re.compile(
    r"could not resolve|connection (?:refused|reset|timed out)|operation timed out|early eof|unexpected disconnect"
    r"|hung up unexpectedly|temporary failure|returned error: (?:429|5\d\d)|failed to connect|rpc failed|low speed",
    re.IGNORECASE,
)
_RETRIED = re.compile(
    r"connection (?:reset|timed out)|early eof|hung up unexpectedly|returned error: (?:429|5\d\d)|rpc failed",
    re.IGNORECASE,
)
_NOTABLE = re.compile(r"^(?:fatal|error|remote|ssh):|host key|permission denied|identity", re.IGNORECASE)
_VAGUE: Final = "fatal: Could not read from remote repository."
_DENIED = re.compile(
    r"could not read (?:username|password)|authentication failed|returned error: 40[13]|permission denied",
    re.IGNORECASE,
)


class GitFailure(SourceFetchError):
    """A git command failed; `stderr` is what it said."""

    def __init__(self, message: str, *, stderr: str, transient: bool = False, hint: str = "") -> None:
        super().__init__(message, transient=transient, hint=hint)
        self.stderr = stderr


@attrs.frozen(kw_only=True, repr=False)
class Git:
    """How to run git for one repository. Made by `git_for`.

    Args:
        settings: the repository.
        url: what git is told to fetch: the address without credentials.
        environment: the child's environment, credentials included; so a Git has no repr with fields.
    """

    settings: GitSettings
    url: str
    environment: Mapping[str, str]

    def run(
        self,
        *arguments: str,
        git_dir: Path | None = None,
        work_tree: Path | None = None,
        config: Mapping[str, str] | None = None,
        doing: str = "",
    ) -> str:
        """Run a command and return its standard output.

        Args:
            arguments: the command and its arguments.
            git_dir: the repository to work in.
            work_tree: the directory that has its files; also the working directory.
            config: further configuration.
            doing: what the message of a failure says could not be done.

        Raises:
            GitFailure: it failed.
            EngineUnavailable: there is no git program.
        """
        environment = with_config(self.environment, config or {})
        if git_dir is not None:
            environment["GIT_DIR"] = str(git_dir)
        if work_tree is not None:
            environment["GIT_WORK_TREE"] = str(work_tree)
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=work_tree or git_dir or "/",
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                umask=0o022,
            )
        except FileNotFoundError:
            raise EngineUnavailable(
                "git sources need the git program", hint="install it, with the package manager: git"
            ) from None
        if done.returncode != 0:
            raise self._failure(done.stderr.decode(errors="replace"), doing or f"git {arguments[0]} failed for")
        return done.stdout.decode(errors="surrogateescape")

    def remote(self, *arguments: str, git_dir: Path | None = None, doing: str = "") -> str:
        """As `run`, for a command that talks to the repository: what failed for a moment is tried again."""
        for attempt in range(1, _ATTEMPTS):
            try:
                return self.run(*arguments, git_dir=git_dir, doing=doing)
            except GitFailure as failure:
                if not _RETRIED.search(failure.stderr):
                    raise
                time.sleep(0.5 * 2**attempt)
        return self.run(*arguments, git_dir=git_dir, doing=doing)

    def _failure(self, stderr: str, doing: str) -> GitFailure:
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        told = [line for line in lines if _NOTABLE.search(line)] or lines
        told = [line for line in told if line != _VAGUE] or told
        reason = " | ".join(dict.fromkeys(told[:4])) or "it said nothing"
        return GitFailure(
            f"{doing} {self.settings.shown}: {reason}",
            stderr=stderr,
            transient=_TRANSIENT.search(stderr) is not None,
            hint=self._hint(stderr),
        )

    def _hint(self, stderr: str) -> str:
        if "Host key verification failed" in stderr:
            return "give the host's key: git(..., known_hosts=...), or a line in ~/.ssh/known_hosts (see ssh-keyscan)"
        if _DENIED.search(stderr):
            if self.settings.url.scheme == "ssh":
                return "forward an agent that has a key for it: --ssh default"
            return f"a private repository needs --secret id={self.settings.token_secret or 'GIT_AUTH_TOKEN'},env=..."
        if re.search(r"not found|does not exist|does not appear", stderr, re.IGNORECASE):
            return "check the URL; a private repository may need credentials"
        return ""


@contextmanager
def git_for(settings: GitSettings, session: Session) -> Generator[Git]:
    """Git with the credentials for one repository.

    Args:
        settings: the repository.
        session: has secrets and agents.

    Raises:
        SourceFetchError: it is reached by ssh, and no agent is forwarded.
    """
    with ExitStack() as stack:
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        if "SSL_CERT_FILE" in environment:
            environment.setdefault("GIT_SSL_CAINFO", environment["SSL_CERT_FILE"])
        environment |= {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "HOME": os.devnull,
            "LC_ALL": "C",
        }
        environment |= _ssh(settings, session, stack)
        url, config = _authorization(settings, session)
        yield Git(settings=settings, url=url, environment=with_config(environment, {**_CONFIG, **config}))


def with_config(environment: Mapping[str, str], config: Mapping[str, str]) -> dict[str, str]:
    """The environment with further git configuration in it.

    Example:
        >>> with_config({"GIT_CONFIG_COUNT": "1"}, {"a.b": "c"})["GIT_CONFIG_KEY_1"]
        'a.b'
    """
    count = int(environment.get("GIT_CONFIG_COUNT", "0"))
    found = dict(environment)
    for number, (key, value) in enumerate(config.items(), count):
        found[f"GIT_CONFIG_KEY_{number}"] = key
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found | {"GIT_CONFIG_COUNT": str(count + len(config))}


def _authorization(settings: GitSettings, session: Session) -> tuple[str, dict[str, str]]:
    """The URL without credentials, and the configuration that sends them."""
    remote = settings.url.remote
    if settings.url.scheme not in ("http", "https"):
        parts = urlsplit(remote)
        if not parts.password:
            return remote, {}
        return remote.replace(f":{parts.password}@", "@", 1), {}
    parts = urlsplit(remote)
    url = parts._replace(netloc=settings.url.host).geturl()
    header = _secret_header(settings, session)
    if header:
        scope = next((prefix for prefix in _GITHUB if url.startswith(prefix)), url)
    elif parts.username is not None:
        header = _basic(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
        scope = f"{parts.scheme}://{settings.url.host}/"
    else:
        return url, {}
    return url, {f"http.{scope}.extraHeader": f"Authorization: {header}"}


def _secret_header(settings: GitSettings, session: Session) -> str:
    """The Authorization of the first secret that is there: those of the host first, headers before tokens."""
    host = settings.url.host
    for suffix in (f".{host}", ""):
        for secret_id, is_token in ((settings.header_secret, False), (settings.token_secret, True)):
            value = session.secret(secret_id + suffix) if secret_id else None
            if value is None:
                continue
            text = value.decode(errors="surrogateescape").strip("\r\n")
            if "\n" in text:
                raise SourceFetchError(f"secret {secret_id + suffix}: a token or header has one line")
            return _basic(f"x-access-token:{text}") if is_token else text
    return ""


def _basic(text: str) -> str:
    return "basic " + base64.b64encode(text.encode(errors="surrogateescape")).decode()


def _ssh(settings: GitSettings, session: Session, stack: ExitStack) -> dict[str, str]:
    """The environment for ssh: one agent, explicit known hosts, nothing of the user's configuration."""
    if not settings.ssh_id:
        return {}
    socket = session.ssh_socket(settings.ssh_id)
    if socket is None:
        raise SourceFetchError(
            f"unset ssh forward key {settings.ssh_id}",
            hint=f"{settings.shown} is reached by ssh; forward an agent: --ssh {settings.ssh_id}",
        )
    options = ["BatchMode=yes", "IdentityFile=/dev/null", "StrictHostKeyChecking=yes", "ConnectTimeout=30"]
    options += ["UpdateHostKeys=no", f"UserKnownHostsFile={_known_hosts(settings, stack)}"]
    if settings.known_hosts:
        options.append("GlobalKnownHostsFile=/dev/null")
    words = ["ssh", "-F", os.devnull, *(word for option in options for word in ("-o", option))]
    return {"SSH_AUTH_SOCK": str(socket), "GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh"}


def _known_hosts(settings: GitSettings, stack: ExitStack) -> str:
    if not settings.known_hosts:
        home = os.environ.get("HOME") or str(Path.home())
        return _quoted([f"{home}/.ssh/known_hosts", f"{home}/.ssh/known_hosts2"])
    directory = Path(stack.enter_context(TemporaryFolder("git-")))
    path = directory / "known_hosts"
    path.write_text(settings.known_hosts.rstrip("\n") + "\n")
    return _quoted([str(path)])


def _quoted(paths: Sequence[str]) -> str:
    return " ".join(f'"{path}"' for path in paths)
