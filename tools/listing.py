"""Lists what a room or feature brings along: *.yaml, views/*, locale/*.po."""
import os
import sys

root = sys.argv[1]
found = sorted(name for name in os.listdir(root) if name.endswith(".yaml"))
for folder, endings in (("views", (".html", ".txt")), ("locale", (".po",))):
    path = os.path.join(root, folder)
    if os.path.isdir(path):
        found += [f"{folder}/{name}" for name in sorted(os.listdir(path)) if name.endswith(endings)]
print("\n".join(found))
