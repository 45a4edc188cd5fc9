"""What a file in the Trace Event Format must be for viewers to show it as it was meant."""
import collections
import json

KNOWN = {"M": {"name", "args"}, "X": {"name", "ts", "dur", "tid"}, "i": {"name", "ts", "tid", "s"}, "C": {"name", "ts", "args"},
         "s": {"name", "cat", "id", "ts", "tid"}, "f": {"name", "cat", "id", "ts", "tid"}}


def nanoseconds(value):
    return round(value * 1000)


def check_fields(events):
    for event in events:
        missing = {"ph", "pid"} - set(event) or KNOWN.get(event["ph"], {"a known phase"}) - set(event)
        if missing:
            yield f"{event}: without {missing}"
        for key in ("ts", "dur"):
            if key in event and not (isinstance(event[key], (int, float)) and event[key] >= 0):
                yield f"{event}: {key}"


def check_order(events):
    last = collections.defaultdict(int)
    for event in events:
        if event["ph"] != "M":
            track = event["pid"], event.get("tid")
            if event["ts"] < last[track]:
                yield f"{event}: before the one above it on its track"
            last[track] = event["ts"]


def check_nesting(events):
    """Slices of a track lie in each other or apart."""
    open_ends = collections.defaultdict(list)
    for event in events:
        if event["ph"] != "X":
            continue
        ends = open_ends[event["pid"], event["tid"]]
        begin, end = nanoseconds(event["ts"]), nanoseconds(event["ts"]) + nanoseconds(event["dur"])
        while ends and ends[-1] <= begin:
            ends.pop()
        if ends and end > ends[-1]:
            yield f"{event}: reaches beyond the slice that it begins in"
        ends.append(end)


def check_names(events):
    processes = {e["pid"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
    threads = {(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    for event in events:
        if event["pid"] not in processes or ("tid" in event and (event["pid"], event["tid"]) not in threads):
            yield f"{event}: its track has no name"


def check_arrows(events):
    begins = {e["id"]: e["ts"] for e in events if e["ph"] == "s"}
    ends = {e["id"]: e["ts"] for e in events if e["ph"] == "f"}
    if set(begins) != set(ends) or any(ends[i] < begins[i] for i in begins):
        yield "arrows without an end or a beginning, or backwards"


def problems(path):
    """All that is wrong, at most 20 of it, and the events."""
    with open(path, encoding="utf-8") as source:
        events = json.load(source)["traceEvents"]
    found = []
    for check in (check_fields, check_order, check_nesting, check_names, check_arrows):
        found += list(check(events))
        if found:
            break
    return found[:20], events
