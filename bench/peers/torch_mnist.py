#!/usr/bin/env python3
"""The accuracy that PyTorch reaches with the network of Apple's MNIST sample on real pictures.

    torch_mnist.py --threads 2 --epochs 1 --data /usr/share/datasets/fashion-mnist         one JSON line: test_accuracy, ...

Batches of 40, softmax cross-entropy averaged over the batch, Adam with rate 1e-3; pixels are byte / 255, as in the sample.
"""
import argparse
import gzip
import json
import pathlib
import platform
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    sys.exit(f"torch_mnist.py needs PyTorch: {error}. Debian: apt install python3-torch; or pip install torch in a virtual "
             "environment.")

from torch_networks import Mnist


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


def run(options):
    torch.manual_seed(options.seed)
    net = Mnist().train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    images, labels = read_idx(options.data, "train-images-idx3-ubyte"), read_idx(options.data, "train-labels-idx1-ubyte")
    test_images, test_labels = read_idx(options.data, "t10k-images-idx3-ubyte"), read_idx(options.data, "t10k-labels-idx1-ubyte")
    accuracies, start = [], time.perf_counter()
    for epoch in range(options.epochs):
        order = torch.randperm(len(labels))
        for first in range(0, len(order) - options.batch + 1, options.batch):
            chosen = order[first:first + options.batch]
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(net(images[chosen].float() / 255), labels[chosen]).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            right = sum((net(test_images[i:i + 500].float() / 255).argmax(1) == test_labels[i:i + 500]).sum().item()
                        for i in range(0, len(test_labels), 500))
        net.train()
        accuracies.append(round(right / len(test_labels), 4))
        print(f"epoch {epoch + 1}: test accuracy {accuracies[-1]:.4f}, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return {"network": "mnist", "data": str(options.data), "batch": options.batch, "epochs": options.epochs, "seed": options.seed,
            "test_accuracy": accuracies[-1], "test_accuracies": accuracies, "seconds": round(time.perf_counter() - start, 1),
            "torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=pathlib.Path, default="/usr/share/datasets/fashion-mnist",
                        help="folder with IDX files (default: Debian's dataset-fashion-mnist)")
    options = parser.parse_args()
    if min(options.batch, options.epochs) < 1 or options.threads < 0:
        parser.error("batch and epochs must be at least 1, threads at least 0")
    if options.threads:
        torch.set_num_threads(options.threads)
    print(json.dumps(run(options)), flush=True)


if __name__ == "__main__":
    main()
