from __future__ import annotations

import threading

from block.cluster.readers_writer_lock import ReadersWriterLock


def test_portions_share_the_lock_and_a_suspect_has_it_exclusively() -> None:
    lock = ReadersWriterLock()
    inside: list[str] = []
    seen: list[list[str]] = []
    beside, go = threading.Event(), threading.Event()

    def portion(name: str) -> None:
        with lock.lock_shared():
            inside.append(name)
            if len(inside) == 2:
                beside.set()
            go.wait(10)
            inside.remove(name)

    def alone() -> None:
        with lock.lock_exclusive():
            seen.append(list(inside))

    portions = [threading.Thread(target=portion, args=(name,)) for name in "ab"]
    for thread in portions:
        thread.start()
    assert beside.wait(10)
    last = threading.Thread(target=alone)
    last.start()
    last.join(0.2)
    assert seen == []
    go.set()
    for thread in (*portions, last):
        thread.join(10)
    assert seen == [[]]


def test_a_waiting_exclusive_request_goes_before_later_shared_ones() -> None:
    lock = ReadersWriterLock()
    order: list[str] = []
    go = threading.Event()

    def first() -> None:
        with lock.lock_shared():
            go.wait(10)

    def alone() -> None:
        with lock.lock_exclusive():
            order.append("alone")

    def later() -> None:
        with lock.lock_shared():
            order.append("later")

    threads = [threading.Thread(target=one) for one in (first, alone, later)]
    threads[0].start()
    threads[1].start()
    while not lock._waiting:
        pass
    threads[2].start()
    threads[2].join(0.2)
    assert order == []
    go.set()
    for thread in threads:
        thread.join(10)
    assert order == ["alone", "later"]
