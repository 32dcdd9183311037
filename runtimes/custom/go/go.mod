module hearth.local/worker

go 1.19
