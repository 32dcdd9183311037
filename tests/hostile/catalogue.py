"""The catalogue of attacks: every case by its number, and what waits for a layer that is not there yet."""
import catalogue_engine
import catalogue_files
import catalogue_kernel
import catalogue_network

CASES = sorted([*catalogue_kernel.CASES, *catalogue_kernel.FURTHER, *catalogue_files.CASES, *catalogue_files.FURTHER, *catalogue_network.CASES,
                *catalogue_engine.CASES, *catalogue_engine.FURTHER],
               key=lambda case: case.number)

# What the finished system has and this one has not: each is reported as failed until its layer is there and its mark removed.
WAITS_FOR = {
    52: "a limit on the memory of a whole sandbox", 53: "reports of the kernel's OOM killer", 56: "a quota of CPU time",
    67: "network: egress", 68: "network: egress", 69: "network: egress", 87: "freezing", 88: "leftovers: kill",
    108: "a limit on the memory of a whole sandbox",
}

