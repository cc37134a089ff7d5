#!/usr/bin/env python3
"""PyTorch on the network of Apple's MNIST sample: the rival that `bench/compare` times, and the source of its accuracy.

    torch_mnist.py time     --threads 2 --steps 100 --mode eager           one JSON line: median_ms, min_ms, ...
    torch_mnist.py accuracy --threads 2 --epochs 1 --data /usr/share/datasets/fashion-mnist

The network: 5x5 convolution to 32 channels, ReLU, 2x2 max-pool; the same to 64 channels; fully connected to 1024, ReLU, dropout
(keep 0.5); fully connected to 10; softmax cross-entropy summed over a batch of 40 and divided by 40; Adam with rate 1e-3.
Weights start uniform in +-0.2, biases at 0.1, pixels are byte/255, as in the sample.

A timed step is zero_grad, forward, loss, backward, optimizer step. Three ways to make PyTorch faster can be asked for: --mode
channels-last, --adam fused (one pass over the parameters), --compile (TorchInductor). With --data the steps read a fresh random batch
from the data set, as a real training does; without it they use one batch again and again.
"""
import argparse
import gzip
import json
import pathlib
import platform
import statistics
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    sys.exit(f"torch_mnist.py needs PyTorch: {error}. Debian: apt install python3-torch; or pip install torch in a virtual "
             "environment, whose python bench/compare takes as --python.")


def build(seed):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(7 * 7 * 64, 1024), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(1024, 10))
    for name, parameter in net.named_parameters():
        if name.endswith("weight"):
            torch.nn.init.uniform_(parameter, -0.2, 0.2)
        else:
            torch.nn.init.constant_(parameter, 0.1)
    return net


def read_idx(folder, name):
    """Images [N,1,28,28] or labels [N] of an IDX file, plain or gzipped."""
    path = pathlib.Path(folder) / name
    if not path.exists():
        path = path.with_name(name + ".gz")
    raw = (gzip.open(path) if path.suffix == ".gz" else open(path, "rb")).read()
    dimensions = raw[3]
    extents = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(dimensions)]
    values = torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=4 + 4 * dimensions).reshape(extents)
    return values.unsqueeze(1) if dimensions == 3 else values.long()


def prepare(options):
    """Network, optimizer and the function that does one training step."""
    net = build(options.seed).train()
    channels_last = options.mode == "channels-last"
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, **({"fused": True} if options.adam == "fused" else {}))
    forward = torch.compile(net) if options.compile else net

    def step(images, labels):
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(forward(images), labels, reduction="sum") / len(labels)
        loss.backward()
        optimizer.step()
        return loss
    return net, step


def versions():
    return {"torch": torch.__version__, "python": platform.python_version(), "onednn": torch.backends.mkldnn.is_available(),
            "threads": torch.get_num_threads()}


def run_time(options):
    _, step = prepare(options)
    if options.data:
        images, labels = read_idx(options.data, "train-images-idx3-ubyte"), read_idx(options.data, "train-labels-idx1-ubyte")

        def batch():
            chosen = torch.randint(0, len(labels), (options.batch,))
            return images[chosen].float() / 255, labels[chosen]
    else:
        fixed = torch.rand(options.batch, 1, 28, 28), torch.randint(0, 10, (options.batch,))
        batch = lambda: fixed
    for _ in range(options.warmup):
        step(*batch())
    times = []
    for _ in range(options.steps):
        start = time.perf_counter()
        step(*batch())
        times.append((time.perf_counter() - start) * 1e3)
    median = statistics.median(times)
    return {"network": "mnist", "batch": options.batch, "steps": options.steps, "mode": options.mode, "adam": options.adam,
            "compile": options.compile, "median_ms": round(median, 4), "min_ms": round(min(times), 4),
            "mean_ms": round(statistics.fmean(times), 4), "images_per_second": round(options.batch / median * 1e3, 1), **versions()}


def run_accuracy(options):
    net, step = prepare(options)
    images, labels = read_idx(options.data, "train-images-idx3-ubyte"), read_idx(options.data, "train-labels-idx1-ubyte")
    test_images, test_labels = read_idx(options.data, "t10k-images-idx3-ubyte"), read_idx(options.data, "t10k-labels-idx1-ubyte")
    accuracies, start = [], time.perf_counter()
    for epoch in range(options.epochs):
        order = torch.randperm(len(labels))
        for first in range(0, len(order) - options.batch + 1, options.batch):
            chosen = order[first:first + options.batch]
            step(images[chosen].float() / 255, labels[chosen])
        net.eval()
        with torch.no_grad():
            right = sum((net(test_images[i:i + 500].float() / 255).argmax(1) == test_labels[i:i + 500]).sum().item()
                        for i in range(0, len(test_labels), 500))
        net.train()
        accuracies.append(round(right / len(test_labels), 4))
        print(f"epoch {epoch + 1}: test accuracy {accuracies[-1]:.4f}, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return {"network": "mnist", "data": str(options.data), "batch": options.batch, "epochs": options.epochs, "seed": options.seed,
            "test_accuracy": accuracies[-1], "test_accuracies": accuracies,
            "seconds": round(time.perf_counter() - start, 1), **versions()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("job", nargs="?", choices=["time", "accuracy"], default="time")
    parser.add_argument("--mode", choices=["eager", "channels-last"], default="eager")
    parser.add_argument("--adam", choices=["plain", "fused"], default="plain")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--warmup", type=int, default=5, help="steps before the clock starts")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=pathlib.Path, help="folder with IDX files (accuracy: default Debian's dataset-fashion-mnist)")
    options = parser.parse_args()
    if min(options.batch, options.steps, options.epochs) < 1 or options.warmup < 0 or options.threads < 0:
        parser.error("batch, steps and epochs must be at least 1, warmup and threads at least 0")
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.job == "accuracy" and not options.data:
        options.data = pathlib.Path("/usr/share/datasets/fashion-mnist")
    print(json.dumps(run_time(options) if options.job == "time" else run_accuracy(options)), flush=True)


if __name__ == "__main__":
    main()
