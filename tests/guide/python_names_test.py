#!/usr/bin/env python3
"""python_names_test.py SOURCE: docs/guide/coming-from-python.md has every public name of this Python's multiprocessing and
concurrent.futures in the first column of its tables, and what it says of mp:: exists."""
import importlib
import inspect
import pathlib
import re
import sys

MODULES = ['multiprocessing', 'multiprocessing.pool', 'multiprocessing.managers', 'multiprocessing.connection',
           'multiprocessing.shared_memory', 'multiprocessing.synchronize', 'multiprocessing.queues',
           'multiprocessing.sharedctypes', 'multiprocessing.process', 'concurrent.futures',
           'concurrent.futures.process', 'concurrent.futures.thread']
# What calls of the above return.
CLASSES = {
    'multiprocessing.pool': ['AsyncResult', 'IMapIterator'],
    'multiprocessing.connection': ['Connection'],
    'multiprocessing.synchronize': ['Barrier', 'Lock', 'Event', 'Condition'],
    'multiprocessing.sharedctypes': ['Synchronized', 'SynchronizedArray'],
    'multiprocessing.managers': ['DictProxy', 'ListProxy', 'Namespace', 'NamespaceProxy', 'ValueProxy', 'ArrayProxy',
                                 'AcquirerProxy', 'ConditionProxy', 'EventProxy', 'BarrierProxy', 'PoolProxy'],
}


def public(names):
    return {name for name in names if not name.startswith('_')}


def names_of(module_name):
    module = importlib.import_module(module_name)
    exported = getattr(module, '__all__', None) or [
        name for name in public(dir(module)) if getattr(getattr(module, name), '__module__', None) == module_name]
    for name in list(exported) + CLASSES.get(module_name, []):
        yield name
        thing = getattr(module, name)
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            yield from public(dir(thing))


def main(source):
    page = (source / 'docs/guide/coming-from-python.md').read_text()
    rows = [line.split(' | ') for line in page.splitlines() if line.startswith('| ')]
    there = {word for row in rows for code in re.findall(r'``.*?``|`[^`]*`', row[0]) for word in re.findall(r'\w+', code)}
    wanted = {name: module for module in reversed(MODULES) for name in names_of(module)}
    missing = [f'{module}: {name}' for name, module in wanted.items() if name not in there]

    headers = ' '.join(path.read_text() for path in (source / 'include').rglob('*.hpp'))
    ours = {name for row in rows for cell in row[1:] for name in re.findall(r'mp::(?:\w+::)*(\w+)', cell)}
    ours |= {name for row in rows for cell in row[1:] for name in re.findall(r'[{, ]\.(\w+)', cell)}
    unknown = [name for name in sorted(ours) if not re.search(rf'\b{name}\b', headers)]

    for line in missing:
        print('not in docs/guide/coming-from-python.md:', line)
    for name in unknown:
        print('named there, but in no header:', name)
    print(f'{len(wanted)} names of Python, {len(ours)} of ours')
    return 1 if missing or unknown or not ours else 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1])))
