#!/usr/bin/env python3
"""Some of the clients of tests/e2e/clients.sh. They end when the file STOP is there.

clients.py sample STOP [+|-|=]PATH...: looks at each file every few ms, by its name and by a descriptor that it keeps: its size never
    falls, its inode number stays. `-`: the job renames it, only the descriptor counts. `=`: the job cuts it, sizes are as they are.
clients.py whole STOP DIRECTORY PREFIX SIZE: files whose names begin so have that size as soon as they are seen.
clients.py map STOP PATH COPY: copies what a mapping of PATH shows, which is made again as the file grows.
"""
import mmap
import os
import sys
import time


def open_in_time(path):
    while True:
        try:
            return os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # it is renamed just now
            time.sleep(0.001)


def sample(stop, *paths):
    looks, seen = 0, {}
    files = [(path[0], path[1:], open_in_time(path[1:])) for path in paths]
    while not os.path.exists(stop):
        for how, path, fd in files:
            for by, st in (("name", os.stat(path) if how != "-" else None), ("descriptor", os.fstat(fd))):
                if not st:
                    continue
                inode, size = seen.get((path, by), (st.st_ino, 0))
                if st.st_ino != inode:
                    sys.exit(f"{path}, by {by}: the inode number was {inode}, it is {st.st_ino}")
                if st.st_size < size and how != "=":
                    sys.exit(f"{path}, by {by}: the size was {size}, it is {st.st_size}")
                seen[path, by] = st.st_ino, st.st_size
        looks += 1
        time.sleep(0.003)
    print(f"{looks} looks at {len(files)} files")


def see_whole(stop, directory, prefix, size):
    seen = set()
    while not os.path.exists(stop):
        for name in os.listdir(directory):
            if name in seen or not name.startswith(prefix):
                continue
            try:
                found = os.stat(os.path.join(directory, name)).st_size
            except FileNotFoundError:  # the job has deleted it meanwhile
                continue
            if found != int(size):
                sys.exit(f"{name} has {found} bytes when it is seen, not {size}")
            seen.add(name)
        time.sleep(0.003)
    print(f"{len(seen)} files")


def copy_map(stop, path, copy):
    done = maps = 0
    with open(path, "rb") as file, open(copy, "wb", buffering=0) as out:
        while True:
            last = os.path.exists(stop)
            size = os.fstat(file.fileno()).st_size
            if size > done:
                with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
                    out.write(mapped[done:size])
                done = size
                maps += 1
            elif last:
                break
            time.sleep(0.05)
    print(f"{maps} mappings")


{"sample": sample, "whole": see_whole, "map": copy_map}[sys.argv[1]](*sys.argv[2:])
