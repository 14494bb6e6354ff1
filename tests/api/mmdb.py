"""Writes small databases of places in MaxMind's format (https://maxmind.github.io/MaxMind-DB/), version 2, for IPv6
with IPv4 in ::/96, as those that people download are."""
import ipaddress


def encode(value):
    def head(kind, size):
        assert size < 285
        size, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
        return (bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])) + more
    if isinstance(value, dict):
        return head(7, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
    if isinstance(value, list):
        return head(11, len(value)) + b"".join(encode(v) for v in value)
    if isinstance(value, str):
        return head(2, len(value.encode())) + value.encode()
    kind, number = value
    data = number.to_bytes(8, "big").lstrip(b"\0")
    return head(kind, len(data)) + data


def uint16(n):
    return 5, n


def uint32(n):
    return 6, n


def uint64(n):
    return 9, n


def write(path, places):
    """places: {network: record}."""
    nodes, data, offsets = [[None, None]], b"", {}
    for network, record in places.items():
        net = ipaddress.ip_network(network)
        address = int(net.network_address)
        bits = net.prefixlen if net.version == 6 else 96 + net.prefixlen
        offsets[network] = len(data)
        data += encode(record)
        at = 0
        for i in range(bits):
            bit = address >> (127 - i) & 1
            if i == bits - 1:
                nodes[at][bit] = ("data", offsets[network])
            else:
                if nodes[at][bit] is None:
                    nodes.append([None, None])
                    nodes[at][bit] = ("node", len(nodes) - 1)
                at = nodes[at][bit][1]

    def pointer(x):
        if x is None:
            return len(nodes)
        return x[1] if x[0] == "node" else len(nodes) + 16 + x[1]
    tree = b"".join(pointer(x).to_bytes(3, "big") for node in nodes for x in node)
    about = {"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(1760000000),
             "database_type": "Test-City", "description": {"en": "for a test"}, "ip_version": uint16(6), "languages": ["en", "sv"],
             "node_count": uint32(len(nodes)), "record_size": uint16(24)}
    with open(path, "wb") as f:
        f.write(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + encode(about))
