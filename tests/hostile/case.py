"""What a case of the catalogue is: plain data. Outcomes are words: "ok" (the attempt went well), an errno, a signal, or what a check says."""
import dataclasses

MODES = ("strict", "user", "degraded")
ANY = "reached"  # a control's outcome: whatever it is, neither what a layer answered, nor ENOSYS, nor a signal


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One line for functions/probe, run by native, Python and Node functions alike, and bare, as root, for the control.

    `text` may name {daemon}, {spawner}, {port}, {abstract}, {state}, {socket}, {host}. `user` and `degraded` differ from `strict` where
    they are given; "a|b" permits two outcomes. `control_text` is what is run bare instead, where the attempt itself would do harm.
    """

    text: str
    strict: str
    control: str = ANY
    user: str = ""
    degraded: str = ""
    control_text: str = ""

    def expected(self, mode):
        return {"user": self.user, "degraded": self.degraded}.get(mode, "") or self.strict


@dataclasses.dataclass(frozen=True)
class Case:
    """A number of the catalogue. Either `attempts`, or `check`: a function of a checks_*.py that answers with the outcome as a text.

    The control of a check is the same check in a daemon with `--sandbox off` (`control_by` "off"), the check with benign=True in the same
    daemon ("benign": the layer is the engine's own, which cannot be switched off; the harmless twin of the attack must get through), or
    a function NAME_control ("function").
    """

    number: int
    title: str
    attempts: tuple = ()
    check: str = ""
    strict: str = ""
    user: str = ""
    degraded: str = ""
    control: str = ""
    control_by: str = "off"
    alone: bool = False  # would slow others down, or be slowed down by them
    languages: str = "C, Python, Node"

    def expected(self, mode):
        if self.attempts:
            words = []
            for attempt in self.attempts:
                for word in attempt.expected(mode).split("|"):
                    if word not in words:
                        words.append(word)
            return ", ".join(words)
        return {"user": self.user, "degraded": self.degraded}.get(mode, "") or self.strict


def fits(outcome, expected):
    """Whether an outcome is one of "a|b"."""
    return outcome in expected.split("|")


def reaches(outcome, attempt, mode="strict"):
    """Whether a control's outcome shows that the attempt came through to the kernel."""
    if attempt.control != ANY:
        return fits(outcome, attempt.control)
    if fits("SIGSYS", attempt.expected(mode)):
        return not outcome.startswith(("SIG", "no "))  # a kernel without that call answers ENOSYS, but it was asked
    return not fits(outcome, attempt.expected(mode)) and outcome not in ("ENOSYS", "SIGSYS", "no such attempt") and not outcome.startswith("no fork")
