"""runtimes/README.md, "Add a runtime in an afternoon", followed step by step: its blocks make a Perl worker, which passes the conformance cases
that the guide names, and a function on it, which is deployed and called."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from harness import ROOT, DaemonTest

sys.path.insert(0, str(ROOT / "runtimes/testing"))
from conformance import Conformance  # noqa: E402

GUIDE = (ROOT / "runtimes/README.md").read_text().split("## Add a runtime in an afternoon\n", 1)[1]
FOLDER = tempfile.mkdtemp(prefix="hearth-perl-")

# The function that the conformance cases call, in Perl.
CONFORMANCE_FUNCTION = r'''
use Time::HiRes ();
sub handler {
    my ($event, $context) = @_;
    my $do = $event->{do} // '';
    die qq{no "good"\n} if $do eq 'error';
    Time::HiRes::sleep(0.6) if $do eq 'sleep';
    return 'x' x 999998 if $do eq 'large';
    return 'x' x (7 << 20) if $do eq 'toolarge';
    my $greeting = $ENV{GREETING} // '';
    utf8::decode($greeting);
    return { request_id => $context->{request_id}, name => $context->{function}, version => $context->{version}, arn => $context->{arn}, greeting => $greeting,
             remaining => $context->{remaining}->(), home => exists $ENV{LEFT_OVER} ? JSON::PP::true : JSON::PP::false } if $do eq 'context';
    return { message => 'Hello ' . ($event->{name} // 'nobody') };
}
1;
'''


def blocks():
    """[(the paragraph before, language, block)] of the guide."""
    return re.findall(r"([^\n]*(?:\n[^\n]+)*)\n\n```(\w+)\n(.*?)```", GUIDE, re.DOTALL)


def perl_problem():
    done = subprocess.run(["/usr/bin/perl", "-MJSON::PP", "-MTime::HiRes", "-e", "1"], capture_output=True, text=True, check=False) \
        if os.access("/usr/bin/perl", os.X_OK) else None
    return "" if done is not None and done.returncode == 0 else "Perl with JSON::PP is not installed"


def setUpModule():
    if perl_problem():
        raise unittest.SkipTest(perl_problem())
    folder = pathlib.Path(FOLDER)
    unittest.addModuleCleanup(shutil.rmtree, folder, True)
    folder.chmod(0o755)
    parts = [block for before, language, block in blocks() if language == "perl" and "`worker.pl`" in before]
    assert len(parts) == 5, f"the guide has {len(parts)} blocks of worker.pl"
    (folder / "worker.pl").write_text("".join(parts))
    (folder / "worker.pl").chmod(0o755)
    (folder / "app.pl").write_text(CONFORMANCE_FUNCTION)


def step_6():
    """The class of the guide's step 6, made as it stands there."""
    (source,) = [block for _, language, block in blocks() if language == "python"]
    names = {"Conformance": Conformance, "unittest": unittest, "FOLDER": FOLDER}
    exec(source.replace('"./worker.pl"', 'FOLDER + "/worker.pl"'), names)  # pylint: disable=exec-used  # the guide's own text
    return names["Perl"]


Perl = step_6()
Perl.__module__ = __name__


class Function(DaemonTest):
    def test_the_function_of_the_guide(self):
        (app,) = [block for before, language, block in blocks() if language == "perl" and "`greet/app.pl`" in before]
        (manifest,) = [block for _, language, block in blocks() if language == "yaml"]
        (script,) = [block for _, language, block in blocks() if language == "sh"]
        folder = self.daemon.folder("greet", {"app.pl": app}, manifest)
        shutil.copy(pathlib.Path(FOLDER) / "worker.pl", folder.parent)
        (self.daemon.work / "bin").mkdir()
        (self.daemon.work / "bin/hearth").symlink_to(self.daemon.binary)
        done = subprocess.run(["bash", "-e", "-c", script], cwd=folder.parent, capture_output=True, text=True, check=False, timeout=60,
                              env={**self.daemon.environment(), "PATH": f"{self.daemon.work}/bin:/usr/bin:/bin", "HEARTH_SERVER": self.daemon.url})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"message":"Hello Perl"', done.stdout)
        self.assertIn("greeting Perl", self.daemon.cli("logs", "greet", check=0).stdout)
        failed = self.daemon.invoke("greet", [1])
        self.assert_function_error(failed, "Error", "Not a HASH")
        self.assertEqual(self.daemon.invoke("greet", {"name": "again"}).json()["message"], "Hello again")


if __name__ == "__main__":
    unittest.main()
