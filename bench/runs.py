"""What bench/compare and bench/scaling share: runs of `pewter bench` on chosen cores, records of them, and tables in documents."""
import datetime
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS = {"mnist": 40, "resnet18": 10, "resnet50": 3, "style": 7, "yolo": 7}
DEFAULT_NETS = "mnist,resnet18,style,yolo"  # a step of resnet50 takes minutes on two cores
END = "<!-- end -->"


class RunFailed(Exception):
    pass


def fail(message):
    sys.exit(f"bench/{pathlib.Path(sys.argv[0]).name}: {message}")


# --- options ---

def add_options(parser, *, replay):
    """Those of both programs; --replay says what of them counts then."""
    parser.add_argument("--nets", default=DEFAULT_NETS, help="default: %(default)s; also: resnet50")
    parser.add_argument("--pewter", type=pathlib.Path, default=ROOT / "build" / "release" / "pewter", help="our command (default: that of "
                        "make build)")
    parser.add_argument("--device", default="cpu", help="ours (default: %(default)s)")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"], help="ours (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=0, help="training steps a run (default: " +
                        ", ".join(f"{net} {steps}" for net, steps in STEPS.items()) + ")")
    parser.add_argument("--batch", type=int, default=0, help="default: the network's")
    parser.add_argument("--cores", help="comma-separated core numbers (default: the first that we may use)")
    parser.add_argument("--key", default="median_ms", choices=["median_ms", "min_ms"], help="what of a run counts (default: %(default)s)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every run here, after every pair anew")
    parser.add_argument("--replay", type=pathlib.Path, nargs="+", metavar="FILE", help="run nothing: report what --json wrote; several files "
                        f"have their networks put together. {replay}")
    parser.add_argument("--write", type=pathlib.Path, metavar="FILE", help="write the table into this document, between the lines "
                        f"'{marker_of(pathlib.Path(sys.argv[0]).name, 'PRECISION')}' and '{END}'")


def check_options(parser, options):
    """Cores that may be used, and networks that are known."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    try:
        options.cores = [int(core) for core in options.cores.split(",")] if options.cores else allowed
    except ValueError:
        parser.error(f"--cores takes numbers like 0,1, not {options.cores!r}")
    if not set(options.cores) <= set(allowed):
        parser.error(f"--cores {options.cores}: this process may use {allowed}")
    options.nets = options.nets.split(",")
    for net in options.nets:
        if net not in STEPS:
            parser.error(f"unknown network {net!r}; known: {', '.join(STEPS)}")
    if options.pairs < 1 or options.steps < 0 or options.batch < 0:
        parser.error("pairs must be at least 1, steps and batch at least 0")


# --- runs ---

def run(command, threads, cores):
    """Standard output of a command that is held to these cores and threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = os.environ | {name: str(threads) for name in names}
    pin = (lambda: os.sched_setaffinity(0, cores)) if hasattr(os, "sched_setaffinity") else None
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, preexec_fn=pin, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    except OSError as error:
        fail(f"cannot start {command[0]!r}: {error.strerror}. Is it built? (make build)")
    if done.returncode:
        raise RunFailed(f"{shlex.join(command)} failed with status {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def steps_of(net, options):
    return str(options.steps or STEPS[net])


def time_ours(net, options, threads, cores):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "ours.json"
        batch = ["--batch", str(options.batch)] if options.batch else []
        try:
            run([str(options.pewter), "bench", "--net", net, "--device", options.device, "--threads", str(threads), "--steps",
                 steps_of(net, options), "--precision", options.precision, "--json", str(file), *batch], threads, cores)
        except RunFailed as error:
            fail(error)
        return json.loads(file.read_text())[0]


# --- records ---

def first_line(command):
    try:
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=20).stdout.strip().split("\n")[0]
    except (OSError, subprocess.TimeoutExpired):
        return ""


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def own_command():
    """As somebody else would type it: without the places of this machine."""
    words, last = [f"bench/{pathlib.Path(sys.argv[0]).name}"], ""
    for word in (part for argument in sys.argv[1:] for part in argument.split("=", 1)):
        if last == "--python":
            word = "VENV/bin/python"
        if last not in ("--json", "--pewter") and word not in ("--json", "--pewter"):
            words.append(word)
        last = word
    return shlex.join(words)


def new_record(options, **more):
    """Everything about a run but its pairs."""
    load = os.getloadavg()[0]
    print(f"{processor()}, cores {','.join(map(str, options.cores))}, load {load:.2f}")
    if load > 0.5:
        print("note: the machine is busy with something else; times and ratios will scatter")
    devices = subprocess.run([str(options.pewter), "devices"], cwd=ROOT, text=True, capture_output=True).stdout if options.pewter.exists() else ""
    return {"command": own_command(), "processor": processor(), "cores": options.cores,
            "load_average": load, "device": options.device, "precision": options.precision, "key": options.key, **more, "networks": [],
            "versions": {"pewter": first_line([str(options.pewter), "--version"]).removeprefix("pewter "),
                         "device": next((line.split(None, 1)[1] for line in devices.splitlines() if line.split()[:1] == [options.device]), ""),
                         "commit": first_line(["git", "rev-parse", "--short", "HEAD"]), "date": str(datetime.date.today())}}


def save(record, options):
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def replayed(files, same):
    """The record that --json wrote; the networks of several, which have to agree in the keys `same`."""
    records = []
    for file in files:
        try:
            records.append(json.loads(file.read_text()))
            records[-1]["networks"][0]["pairs"][0]
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            fail(f"--replay: expected a file that --json wrote, found {str(file)!r}: {error}")
    for record, file in zip(records[1:], files[1:]):
        for key in same:
            if record.get(key) != records[0].get(key):
                fail(f"--replay: {file} has {key} {record.get(key)!r}, {files[0]} has {records[0].get(key)!r}")
        records[0]["networks"] += record["networks"]
        if record["command"] not in records[0]["command"].split("\n    "):
            records[0]["command"] += f"\n    {record['command']}"
    return records[0]


# --- tables ---

def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def digits_of(values):
    """So that three digits are left."""
    return 2 if statistics.median(values) < 10 else 1 if statistics.median(values) < 100 else 0


def heading(record, *facts):
    """The command, and one line of what it ran on."""
    versions = record["versions"]
    pairs = {len(net["pairs"]) for net in record["networks"]}
    counted = f"{min(pairs)} pairs" if len(pairs) == 1 else f"{min(pairs)} to {max(pairs)} pairs"
    line = [f"Commit {versions['commit']}", versions["date"], record["processor"], f"cores {','.join(map(str, record['cores']))}", *facts, counted,
            f"load at the start {record['load_average']:.2f}"]
    return f"    {record['command']}\n\n{', '.join(part for part in line if part)}.\n"


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def ours_of(record):
    """"Pewter 0.1.0 (oneDNN 2.6.3) in fp32"."""
    versions = record["versions"]
    library = versions.get("device", "").split(", ")[-1]
    return f"Pewter {versions['pewter']}{f' ({library})' if library else ''} in {record['precision']}"


def marker_of(program, precision):
    return f"<!-- bench/{program}: {precision} -->"


def parts_of(document, marker):
    """What stands before and behind the text between the markers."""
    try:
        lines = document.read_text().splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"--write: expected a document that can be read, found {str(document)!r}: {error}")
    found = [index for index, line in enumerate(lines) if line.strip() == marker]
    if len(found) != 1:
        fail(f"--write: expected one line '{marker}' in {document}, found {len(found) or 'none'}")
    end = next((index for index in range(found[0] + 1, len(lines)) if lines[index].strip().startswith("<!--")), None)
    if end is None or lines[end].strip() != END:
        fail(f"--write: expected a line '{END}' after '{marker}' in {document}, found {'none' if end is None else lines[end].strip()!r}")
    return "".join(lines[:found[0] + 1]), "".join(lines[end:])


def check_document(options):
    """Before anything is measured."""
    if not options.write:
        return
    parts_of(options.write, marker_of(pathlib.Path(sys.argv[0]).name, options.precision))
    if not os.access(options.write, os.W_OK):
        fail(f"--write: expected a document that can be written, found {str(options.write)!r}")


def write_table(document, precision, text):
    before, after = parts_of(document, marker_of(pathlib.Path(sys.argv[0]).name, precision))
    document.write_text(f"{before}\n{text}\n{after}")
