# Copyright (c) 2026, the alfred.portmap authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a transaction: apply, come back over a new connection, confirm.

PRIVATE to the collection alfred.portmap: no promise is made to anybody outside it.

Who uses it is a module that answers `transaction: {state: armed, token, seconds}` to a change, takes `confirm_token` to confirm it, and
fails with `decided: true` if there is nothing left to confirm, or with `transaction: {state: confirmed}` if it is confirmed and something
else failed then. Where nothing had to change there is one module call and no reconnect.
"""

from __future__ import annotations

import copy
import socket
import time
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase

PAUSE = 1.0  # seconds between two attempts
UNDO_TAKES = 5.0  # seconds at most, after its time has come
PENDING, UNDONE, FAILED = "pending", "undone", "failed"  # what became of a change that was not confirmed
PROBE_PATIENCE = 3.0  # seconds for one connection

Result = dict[str, t.Any]


class TransactionAction(ActionBase):
    """An action plugin whose module makes changes that have to be confirmed. Subclasses name it, and say what there is after an undo.

    Its info twin, of the same name with `_info`, tells `pending` and `last_rollback`, and takes the options of `info_options`.
    """

    _supports_check_mode = True
    _supports_async = False  # a job in the background is nobody whose connection could be renewed
    TRANSFERS_FILES = False

    module = ""
    info_options: tuple[str, ...] = ("state_dir",)
    _probes: list[Result]
    _through: list[str]

    def state_of(self, info: Result) -> str:
        """What the info twin tells of the state, for people."""
        raise NotImplementedError

    def look_at(self, info: Result) -> str:
        """Where to look at it."""
        raise NotImplementedError

    def _aftermath(self, task_vars: Result) -> tuple[str, str]:
        """(PENDING, UNDONE or FAILED, what the host says of its state), asked over a new connection. May raise AnsibleError."""
        arguments = {name: self._task.args[name] for name in self.info_options if name in self._task.args}
        info = self._execute_module(module_name=f"{self.module}_info", module_args=arguments, task_vars=task_vars)
        if info.get("failed"):
            raise AnsibleError(str(info.get("msg")))
        if info["pending"] is not None:
            return PENDING, f"the change is still pending (since {info['pending']['armed']})"
        undone = info["last_rollback"]
        how = f" ({undone['result']}, at {undone['time']})" if undone else ""
        outcome = FAILED if undone and undone["result"].startswith("failed") else UNDONE
        return outcome, f"{self.state_of(info)}{how}.\nLook at it: {self.look_at(info)}"

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Apply, and confirm what has to be confirmed."""
        result: Result = super().run(tmp, task_vars)
        variables = task_vars or {}
        self._probes = self._task.args.get("confirm_probes") or []
        if not isinstance(self._probes, list) or not all(isinstance(probe, dict) for probe in self._probes):
            return {**result, "failed": True, "msg": f"confirm_probes: {self._probes!r} must be a list of mappings; nothing was changed"}
        self._through = self._task.args.get("confirm_through") or []
        strangers = [name for name in self._through if name not in variables.get("hostvars", {})] if isinstance(self._through, list) else self._through
        if strangers:
            return {**result, "failed": True, "msg": f"confirm_through: {strangers!r} must be a list of hosts of the inventory; nothing was changed"}
        result.update(self._execute_module(module_name=self.module, module_args=dict(self._task.args), task_vars=variables))
        transaction = result.get("transaction")
        if result.get("failed") or not transaction or transaction["state"] != "armed":
            return result
        deadline = time.monotonic() + transaction["seconds"]
        tried: list[str] = []
        while time.monotonic() < deadline:
            problem = self._attempt(result, transaction["token"], variables)
            if problem is None:
                return result
            tried.append(problem)
            if result.get("decided"):
                break
            time.sleep(PAUSE)
        return self._given_up(result, tried, deadline, variables)

    def _attempt(self, result: Result, token: str, variables: Result) -> str | None:
        """One try to confirm; what was in its way, or None."""
        try:
            self._reconnect()
            problem = self._probes_fail(variables) or self._ways_through_fail(variables)
            if problem is not None:
                return problem
            answer = self._execute_module(module_name=self.module, module_args={**self._task.args, "confirm_token": token}, task_vars=variables)
        except AnsibleError as error:  # no way in: a connection or a file transfer that failed
            return str(error.message)
        if answer.get("failed") and answer.get("transaction"):  # confirmed, but something that belongs to it could not be done
            result.update(failed=True, msg=answer["msg"], transaction=answer["transaction"])
            return None
        if answer.get("failed"):
            result["decided"] = bool(answer.get("decided"))
            return str(answer.get("msg") or "the host gave no reason")
        result["transaction"] = answer["transaction"]
        result["warnings"] = [*result.get("warnings", []), *answer.get("warnings", [])]
        return None

    def _reconnect(self) -> None:
        """Make the next call open a new TCP connection; connections of one call each have nothing to end."""
        if type(self._connection).reset is not ConnectionBase.reset:
            self._connection.reset()

    def _given_up(self, result: Result, tried: list[str], deadline: float, variables: Result) -> Result:
        """The change was not confirmed: wait until the host has undone it, and say how it is now."""
        time.sleep(max(0.0, deadline - time.monotonic()))
        outcome, state = PENDING, "the host can't be reached to say how it is now"
        patience = time.monotonic() + UNDO_TAKES + float(self._play_context.timeout)
        while outcome == PENDING and time.monotonic() < patience:
            time.sleep(PAUSE)
            try:
                self._reconnect()
                outcome, state = self._aftermath(variables)
            except AnsibleError as error:
                state = f"the host can't be reached to say how it is now: {error.message}"
        seconds = result["transaction"]["seconds"]
        attempts = "\n".join(f"  {number}. {text}" for number, text in enumerate(_runs(tried), 1))
        reverted = {
            UNDONE: "so the host undid it by itself",
            PENDING: "so the host undoes it by itself, which was not seen yet",
            FAILED: "and THE HOST COULD NOT UNDO IT",
        }[outcome]
        undone = outcome == UNDONE
        result.pop("decided", None)
        result["transaction"] = {"state": "rolled_back" if undone else "unknown", "seconds": seconds}
        message = f"The change was not confirmed within {seconds} seconds, {reverted}.\nTried:\n{attempts}\nNow: {state}"
        return {**result, "failed": True, "changed": not undone, "msg": message}

    # further proof

    def _probes_fail(self, variables: Result) -> str | None:
        """The first of confirm_probes that does not connect, for people; None if all do, or there are none."""
        for probe in self._probes:
            own = self._connection.get_option("host") if self._connection.has_option("host") else None
            address = str(probe.get("address") or own or self._play_context.remote_addr)
            port, vantage = int(probe["port"]), str(probe.get("from") or "")
            problem = self._ask_from(vantage, address, port, variables) if vantage else _ask_from_here(address, port)
            if problem is not None:
                return f"confirm_probes: {address} port {port} from {vantage or 'the controller'}: {problem}"
        return None

    def _ask_from(self, vantage: str, address: str, port: int, variables: Result) -> str | None:
        """Let another host of the inventory connect, by the module probe."""
        hostvars = variables.get("hostvars", {})
        if vantage not in hostvars:
            return f"there is no host {vantage} in the inventory"
        question = {"name": "confirm_probes", "target": _numeric(address), "port": port, "timeout": PROBE_PATIENCE}
        arguments = {"questions": [question], "retries": 0, "fail_on_findings": False}
        answer = _Delegate.of(self, hostvars[vantage]).call("alfred.portmap.probe", arguments)
        if answer.get("failed"):
            return str(answer.get("msg"))
        findings = answer["findings"]
        return str(findings[0]["verdict"]) if findings else None

    def _ways_through_fail(self, variables: Result) -> str | None:
        """The first of confirm_through that can't be reached over a new connection, for people; None if all can, or there are none."""
        for name in self._through:
            try:
                answer = _Delegate.of(self, variables["hostvars"][name]).call("ansible.builtin.ping", {})
            except AnsibleError as error:
                answer = {"failed": True, "msg": str(error.message)}
            if answer.get("failed"):
                return f"confirm_through: {name} can't be reached by way of this host: {answer.get('msg')}"
        return None


class _Delegate(ActionBase):
    """Runs a module on another host of the inventory, over a new connection of its own."""

    @classmethod
    def of(cls, action: TransactionAction, variables: t.Mapping[str, t.Any]) -> _Delegate:
        """Someone who runs modules on the host of these variables, as the user that they name, without becoming another."""
        kind = str(variables.get("ansible_connection", C.config.get_config_value("DEFAULT_TRANSPORT")))
        context = copy.copy(action._play_context)
        context.remote_addr = str(variables.get("ansible_host", variables["inventory_hostname"]))
        context.become = False
        connection = action._shared_loader_obj.connection_loader.get("ssh" if kind == "smart" else kind, context)
        known = C.config.get_plugin_vars("connection", connection._load_name)
        connection.set_options(var_options={name: variables[name] for name in known if name in variables})
        connection.set_become_plugin(None)
        task = action._task.copy()
        task.delegate_to = None
        delegate = cls(task, connection, context, action._loader, action._templar, action._shared_loader_obj)
        names = ("inventory_hostname", "ansible_facts", "ansible_python_interpreter")
        delegate._variables = {name: variables[name] for name in names if name in variables}
        return delegate

    _variables: Result
    _module: str

    def call(self, module: str, arguments: Result) -> Result:
        """What a module answers there."""
        self._module, self._task.args = module, arguments
        return self.run()

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Run the module of `call`, over a new connection: what is left of an old one would prove nothing."""
        try:
            if type(self._connection).reset is not ConnectionBase.reset:
                self._connection.reset()
            answer: Result = self._execute_module(module_name=self._module, module_args=self._task.args, task_vars=self._variables)
            return answer
        finally:
            self._connection.close()


def _ask_from_here(address: str, port: int) -> str | None:
    try:
        socket.create_connection((address, port), timeout=PROBE_PATIENCE).close()
    except OSError as error:
        return "no answer" if isinstance(error, TimeoutError) else str(error.strerror or error)
    return None


def _numeric(address: str) -> str:
    """An address of a name, as the controller knows it."""
    try:
        return str(socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise AnsibleError(f"{address} has no address: {error.strerror}") from error


def _runs(texts: list[str]) -> list[str]:
    """The texts with those that follow themselves told once, and how often."""
    found: list[tuple[str, int]] = []
    for text in texts:
        if found and found[-1][0] == text:
            found[-1] = (text, found[-1][1] + 1)
        else:
            found.append((text, 1))
    return [text if count == 1 else f"{text} ({count} times)" for text, count in found]
