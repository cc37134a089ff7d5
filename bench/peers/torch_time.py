#!/usr/bin/env python3
"""Times training steps of a reference network in PyTorch: the rival of `pewter bench`, which `bench/compare` runs in turn with it.

    torch_time.py --net resnet18 --threads 2 --steps 20 --mode channels-last --adam fused         one JSON line: median_ms, min_ms, ...

A step is zero_grad, forward, loss, backward, Adam with rate 1e-3, on one batch that stays in memory. Ways to make PyTorch faster
can be asked for: --mode channels-last, --adam fused (one pass over the parameters), --compile (TorchInductor), and on a GPU
(--device cuda) --graph (the whole step captured as a CUDA graph) and --dtype tf32 or bf16 (autocast).
"""
import argparse
import json
import platform
import resource
import statistics
import sys
import time

try:
    import torch
except ImportError as error:
    sys.exit(f"torch_time.py needs PyTorch: {error}. Debian: apt install python3-torch; or pip install torch in a virtual "
             "environment, whose python bench/compare takes as --python.")

from torch_networks import NETWORKS


def prepare(options):
    """The function that does one training step."""
    torch.manual_seed(options.seed)
    kind = NETWORKS[options.net]
    network = kind().train()
    device = torch.device(options.device)
    network = network.to(device)
    pictures, wanted = torch.rand(options.batch, *kind.extents).to(device), kind.target.draw(options.batch).to(device)
    exact = options.dtype == "fp32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = True
    if options.mode == "channels-last":
        network, pictures = network.to(memory_format=torch.channels_last), pictures.contiguous(memory_format=torch.channels_last)
    extras = {"fused": True} if options.adam == "fused" else {}
    if options.graph:
        extras["capturable"] = True
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, **extras)
    forward = torch.compile(network) if options.compile else network

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=options.dtype == "bf16"):
            loss = kind.target.loss(forward(pictures), wanted)
        loss.backward()
        optimizer.step()
    if not options.graph:
        return step
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--net", choices=sorted(NETWORKS), required=True)
    parser.add_argument("--mode", choices=["eager", "channels-last"], default="eager")
    parser.add_argument("--adam", choices=["plain", "fused"], default="plain")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["fp32", "tf32", "bf16"], default="fp32")
    parser.add_argument("--graph", action="store_true", help="capture the step (cuda)")
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--batch", type=int, default=0, help="0: the network's")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.steps < 1 or min(options.batch, options.warmup, options.threads) < 0:
        parser.error("steps must be at least 1, batch, warmup and threads at least 0")
    options.batch = options.batch or NETWORKS[options.net].batch
    if options.threads:
        torch.set_num_threads(options.threads)
    step = prepare(options)
    for _ in range(options.warmup):
        step()
    times = []
    # On a GPU steps follow one another without a wait, as in training: ten are timed at once.
    together = 10 if options.device == "cuda" else 1
    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    wait()
    for _ in range(options.steps):
        start = time.perf_counter()
        for _ in range(together):
            step()
        wait()
        times.append((time.perf_counter() - start) * 1e3 / together)
    median = statistics.median(times)
    print(json.dumps({
        "network": options.net, "batch": options.batch, "steps": options.steps, "mode": options.mode, "adam": options.adam,
        "compile": options.compile, "median_ms": round(median, 4), "min_ms": round(min(times), 4),
        "mean_ms": round(statistics.fmean(times), 4), "images_per_second": round(options.batch / median * 1e3, 1),
        "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "dtype": options.dtype, "graph": options.graph,
        "peak_device_bytes": torch.cuda.max_memory_allocated() if options.device == "cuda" else 0,
        "torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}), flush=True)


if __name__ == "__main__":
    main()
