#!/usr/bin/env python3
"""bench/compare and bench/scaling on recorded runs: what they say and what they write. Nothing is timed."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parent.parent.parent / "bench"
MIB = 2**20


def of_a_run(milliseconds, mebibytes=100, **more):
    return {"median_ms": milliseconds, "min_ms": milliseconds - 1, "batch": 40, "peak_resident_bytes": mebibytes * MIB, **more}


def recorded(networks, **more):
    return {"command": "bench/compare --pairs 3 --threads 2", "processor": "A processor", "cores": [0, 1], "threads": 2, "load_average": 0.25,
            "device": "cpu", "precision": "fp32", "key": "median_ms", "networks": networks,
            "versions": {"pewter": "0.1.0", "device": "A processor, 2 threads, oneSomething 5", "torch": "9.8",
                         "python": "3.77", "commit": "abc1234", "date": "2026-01-02"}, **more}


# Medians: ours 12, eager 30, channels-last 20; best in each pair 10/20, 12/24 and 16/20.
PAIRS = [{"ours": of_a_run(10, 90), "eager": of_a_run(30, 400), "channels-last": of_a_run(20, 200)},
         {"ours": of_a_run(12, 100), "eager": of_a_run(24, 400), "channels-last": of_a_run(30, 200)},
         {"ours": of_a_run(16, 95), "eager": of_a_run(40, 400), "channels-last": of_a_run(20, 200)}]
NETWORK = {"network": "mnist", "batch": 40, "modes": ["eager", "channels-last"], "left_out": {}, "pairs": PAIRS}
DOCUMENT = "# Before\n\n<!-- bench/compare: fp32 -->\nold table\n<!-- end -->\n\nbetween\n<!-- bench/compare: bf16 -->\n<!-- end -->\nafter\n"


class Scripts(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.holder.cleanup)
        self.folder = pathlib.Path(self.holder.name)

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def run_script(self, name, *arguments):
        return subprocess.run([sys.executable, "-B", str(BENCH / name), *arguments], text=True, capture_output=True)

    def replay(self, name, record, *arguments):
        return self.run_script(name, "--replay", self.file("record.json", record), *arguments)

    def fails(self, done, *parts):
        self.assertNotEqual(done.returncode, 0)
        for part in parts:
            self.assertIn(part, done.stderr)
        self.assertNotIn("Traceback", done.stderr)


class Compare(Scripts):
    def test_the_ratio_is_that_of_each_pair_to_its_fastest_mode(self):
        done = self.replay("compare", recorded([NETWORK]))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("ours / best of PyTorch: median     0.500,    0.500 to 0.800", done.stdout)
        self.assertIn("ours / eager: median     0.400,    0.333 to 0.500", done.stdout)

    def test_the_table_stands_between_its_markers_and_nothing_else_changes(self):
        document = self.file("page.md", DOCUMENT)
        done = self.replay("compare", recorded([NETWORK]), "--write", document)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = pathlib.Path(document).read_text()
        begin, end = DOCUMENT.split("old table\n")
        self.assertTrue(text.startswith(begin) and text.endswith(end), text)
        table = text[len(begin):-len(end)]
        self.assertIn("| network | ours, fp32, ms | PyTorch eager, ms | PyTorch channels-last, ms | ours / best of PyTorch, median | range | memory MiB "
                      "| share |\n|---|---|---|---|---|---|---|---|\n", table)
        self.assertIn("| mnist, batch 40 | 12.0 (10.0 to 16.0) | 30.0 | 20.0 | **0.500** | 0.500 to 0.800 | 100 of 200 | 0.50 |\n", table)
        for part in ("    bench/compare --pairs 3 --threads 2\n", "Commit abc1234, 2026-01-02, A processor, cores 0,1, 2 threads", "PyTorch 9.8",
                     "Pewter 0.1.0 (oneSomething 5) in fp32", "Python 3.77", "3 pairs", "load at the start 0.25"):
            self.assertIn(part, table)
        again = self.replay("compare", recorded([NETWORK]), "--write", document)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(pathlib.Path(document).read_text(), text)

    def test_each_precision_has_its_marker(self):
        document = self.file("page.md", DOCUMENT)
        self.assertEqual(self.replay("compare", recorded([NETWORK], precision="bf16"), "--write", document).returncode, 0)
        text = pathlib.Path(document).read_text()
        self.assertIn("old table\n", text)
        self.assertIn("ours, bf16, ms", text.split("<!-- bench/compare: bf16 -->")[1])

    def test_a_mode_that_a_network_lacks_is_left_empty_and_said(self):
        other = {"network": "yolo", "batch": 8, "modes": ["eager"], "left_out": {"channels-last": "no such kernel"},
                 "pairs": [{"ours": of_a_run(500), "eager": of_a_run(1000)}]}
        document = self.file("page.md", DOCUMENT)
        self.assertEqual(self.replay("compare", recorded([NETWORK, other]), "--write", document).returncode, 0)
        text = pathlib.Path(document).read_text()
        self.assertIn("| yolo, batch 8 | 500 (500 to 500) | 1000 | - | **0.500** |", text)
        self.assertIn("PyTorch channels-last did not run yolo: no such kernel.", text)
        self.assertIn("1 to 3 pairs", text)

    def test_records_of_several_runs_are_put_together(self):
        other = recorded([NETWORK | {"network": "style"}], command="bench/compare --nets style")
        files = [self.file("a.json", recorded([NETWORK])), self.file("b.json", other)]
        document = self.file("page.md", DOCUMENT)
        done = self.run_script("compare", "--write", document, "--replay", *files)
        self.assertEqual(done.returncode, 0, done.stderr)
        for part in ("| mnist,", "| style,", "    bench/compare --pairs 3 --threads 2\n    bench/compare --nets style\n"):
            self.assertIn(part, pathlib.Path(document).read_text())
        files[1] = self.file("b.json", other | {"precision": "bf16"})
        self.fails(self.run_script("compare", "--replay", *files), "b.json has precision 'bf16'", "a.json has 'fp32'")

    def test_the_limit_is_an_exit_status(self):
        self.assertEqual(self.replay("compare", recorded([NETWORK]), "--limit", "0.5").returncode, 0)
        self.assertEqual(self.replay("compare", recorded([NETWORK]), "--limit", "0.49").returncode, 1)

    def test_documents_without_markers_are_named_before_anything_is_run(self):
        marker = "<!-- bench/compare: fp32 -->"
        for text, part in (("no markers", "found none"), (f"{marker}\n<!-- end -->\n{marker}\n<!-- end -->\n", "found 2"),
                           (f"{marker}\nno end\n", "expected a line '<!-- end -->' after"),
                           (f"{marker}\n<!-- bench/scaling: fp32 -->\n<!-- end -->\n", "found '<!-- bench/scaling: fp32 -->'")):
            document = self.file("page.md", text)
            self.fails(self.replay("compare", recorded([NETWORK]), "--write", document), "bench/compare: --write: expected", part)
            self.fails(self.run_script("compare", "--pewter", "/no/such/program", "--write", document), part)
            self.assertEqual(pathlib.Path(document).read_text(), text)
        self.fails(self.replay("compare", recorded([NETWORK]), "--write", "/no/such/page.md"), "--write: expected a document that can be read")

    def test_what_is_no_record_is_named(self):
        for content in ("", "[]", "{}", {"networks": []}):
            self.fails(self.run_script("compare", "--replay", self.file("record.json", content)), "--replay: expected a file that --json wrote")

    def test_mistakes_are_named(self):
        for arguments, part in ((["--nets", "lenet"], "unknown network 'lenet'"), (["--modes", "jit"], "unknown PyTorch mode 'jit'"),
                                (["--pairs", "0"], "pairs must be at least 1"), (["--cores", "x"], "--cores takes numbers"), (["--fast"], "--fast")):
            self.fails(self.run_script("compare", *arguments), part)


class Scaling(Scripts):
    # Quotients 2, 1.5 and 1.8.
    NETWORK = {"network": "resnet18", "batch": 64, "pairs": [{"1": of_a_run(1000), "2": of_a_run(500)}, {"1": of_a_run(1200), "2": of_a_run(800)},
                                                             {"1": of_a_run(1080), "2": of_a_run(600)}]}

    def test_the_gain_is_that_of_each_pair(self):
        document = self.file("page.md", "<!-- bench/scaling: fp32 -->\n<!-- end -->\n")
        done = self.replay("scaling", recorded([self.NETWORK], threads=[1, 2]), "--write", document)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 to 2 threads: median     1.800 times faster, 1.500 to 2.000", done.stdout)
        text = pathlib.Path(document).read_text()
        self.assertIn("| network | 1 thread, ms | 2 threads, ms | 1 to 2: times faster, median | range |\n", text)
        self.assertIn("| resnet18, batch 64 | 1080 (1000 to 1200) | 600 (500 to 800) | **1.80** | 1.50 to 2.00 |\n", text)

    def test_the_limit_is_an_exit_status(self):
        record = recorded([self.NETWORK], threads=[1, 2])
        self.assertEqual(self.replay("scaling", record, "--limit", "1.8").returncode, 0)
        self.assertEqual(self.replay("scaling", record, "--limit", "1.81").returncode, 1)

    def test_mistakes_are_named(self):
        for arguments, part in ((["--threads", "2"], "at least two of them"), (["--threads", "1,1"], "different numbers"),
                                (["--threads", "1,x"], "--threads takes numbers"), (["--threads", "1,4096"], "there are"),
                                (["--write", "/no/such/page.md"], "bench/scaling: --write: expected a document that can be read")):
            self.fails(self.run_script("scaling", *arguments), part)


if __name__ == "__main__":
    unittest.main()
