"""Cases 72 to 95: the channel and the engine, and what goes beyond the list."""
from case import Case

BENIGN = {"control": "accepted", "control_by": "benign", "languages": "Python"}
VIOLATION = "Runtime.ProtocolViolation"

CASES = [
    Case(72, "forged frames on descriptor 3", check="forged_frames", strict=VIOLATION, **BENIGN),
    Case(73, "lengths that are no frame's", check="frame_lengths", strict=VIOLATION, **BENIGN),
    Case(74, "replies to other calls", check="other_ids", strict=VIOLATION, **BENIGN),
    Case(75, "two replies", check="two_replies", strict="first one only, worker replaced", **BENIGN),
    Case(76, "a reply, then the end", check="reply_and_end", strict="delivered once", **BENIGN),
    Case(77, "the end amid a reply", check="end_in_reply", strict="ended with an error", **BENIGN),
    Case(78, "a frame by single bytes", check="slow_frame", strict="Sandbox.Timedout", **BENIGN),
    Case(79, "a worker that never reads", check="never_reads", strict="each ended, engine not blocked", **BENIGN),
    Case(80, "a flood of output", check="log_flood", strict="cut and marked, memory bounded", alone=True, **BENIGN),
    Case(81, "forged log records", check="log_injection", strict="text of the function", **BENIGN),
    Case(82, "JSON at its limits", check="odd_json", strict="answered, engine well", alone=True, control="accepted", control_by="benign", languages="Python, Node"),
    Case(83, "replies that would break HTTP", check="odd_headers", strict="one well-formed answer each", **BENIGN),
    Case(84, "descriptors sent to the engine", check="descriptors_over_the_channel", strict="none kept", alone=True, **BENIGN),
    Case(85, "a worker that is never ready", check="never_ready", strict="Sandbox.Timedout", **BENIGN),
    Case(86, "an answer after the answer", check="answer_later", strict="dropped", **BENIGN),
    Case(87, "work after the reply", check="background_work", strict="frozen", control="runs on", control_by="off", languages="Python"),
    Case(88, "a child after the reply", check="leftover_child", strict="ended", control="lives on", control_by="off", languages="Python"),
    Case(89, "state of the function before", check="state_leak", strict="nothing seen", degraded="files seen", control="files seen", languages="Python"),
    Case(90, "timers and patched clocks", check="clock_games", strict="Sandbox.Timedout, ended", control="answers", control_by="benign", languages="Python, Node"),
    Case(91, "environments of others", check="secrets", strict="nothing seen", control="the engine's seen", control_by="function", languages="Python"),
    Case(92, "kill -9 of the engine", check="kill_engine", strict="no survivors, starts again", control="all live", control_by="benign", alone=True, languages="daemon"),
    Case(93, "kill -9 of the spawner", check="kill_spawner", strict="exit 70, no survivors", control="all live", control_by="benign", alone=True, languages="daemon"),
    Case(94, "strict where it is impossible", check="impossible_mode", strict="refuses to start", control="starts", control_by="benign", alone=True, languages="daemon"),
    Case(95, "each layer off, one by one", check="missing_layers", strict="never runs", control="runs", control_by="benign", alone=True, languages="daemon"),
]

FURTHER = [
    Case(109, "SIGSTOP to init", check="stop_init", strict="Sandbox.Timedout, ended", control="answers", control_by="benign", languages="Python, Node"),
    Case(110, "the engine's API from inside", check="management", strict="refused", degraded="reached", control="reached", languages="Python"),
    Case(111, "closed log pipes", check="close_logs", strict="answers", **BENIGN),
    Case(112, "each thread confined", check="every_thread", strict="confined", control="free", languages="Python"),
    Case(113, "a program from memory", check="memory_file_program", strict="confined", control="free", languages="C, Python"),
]
