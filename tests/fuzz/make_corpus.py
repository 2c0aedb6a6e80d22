"""Writes the seed corpus of the fuzzers out of the fixtures: python3 make_corpus.py FIXTURES CORPUS."""
import pathlib
import pickle
import struct
import sys
import zipfile

fixtures, corpus = map(pathlib.Path, sys.argv[1:])
small = ["progress_measures.pth", "checkpoints.pth", "transformer_lens.pt", "protocol4.pt", "malicious.pth"]


def put(room, name, data):
    (corpus / room).mkdir(parents=True, exist_ok=True)
    (corpus / room / name).write_bytes(data)


for name in small:
    with zipfile.ZipFile(fixtures / name) as archive:
        main = next(one for one in archive.namelist() if one.endswith("/data.pkl"))
        put("pickle", name + ".pkl", archive.read(main))
put("weights", "transformer_lens.pt", (fixtures / "transformer_lens.pt").read_bytes())
put("weights", "legacy.pth", (fixtures / "legacy.pth").read_bytes())
for name in ["hooked_transformer.pth", "nanogpt.pt"]:
    with zipfile.ZipFile(fixtures / "architectures" / name) as whole:
        put("pickle", name + ".pkl", whole.read(next(one for one in whole.namelist() if one.endswith("/data.pkl"))))
put("pickle", "instances.pkl", b"\x80\x04(cm\nC\n)\x81}X\x01\x00\x00\x00aK\x01sbcm\nD\n)}\x92cm\nE\nK\x02\x85Rt.")
for protocol in range(2, 6):
    things = {"none": None, "flags": [True, False], "numbers": (1, -1, 255, 65536, 2**40, 2**70, 0.5, float("nan")),
              "text": "\u00e4" * 3, "bytes": b"\x00\xff", "set": {1, 2}, "deep": [[[()]]], 7: frozenset([3])}
    things["self"] = things
    put("pickle", f"protocol{protocol}.pkl", pickle.dumps(things, protocol))
put("pickle", "text.pkl", b"\x80\x02(lp0\nI1\naL2L\naF0.5\naVx\nag0\na.")


def safetensors(header, data=b""):
    text = header.encode()
    return struct.pack("<Q", len(text)) + text + data


put("safetensors", "empty", safetensors("{}"))
put("safetensors", "two", safetensors(
    '{"__metadata__":{"step":"3"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    '"b":{"dtype":"BOOL","shape":[1,2],"data_offsets":[8,10]}}', bytes(10)))
put("safetensors", "overlap", safetensors(
    '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}', bytes(6)))
put("safetensors", "huge_header", struct.pack("<Q", 2**60) + b"{}")
put("safetensors", "checked", safetensors('{"__metadata__":{"orrery.sha256":"' + "0" * 64 + '"}}'))
put("weights", "two.safetensors", (corpus / "safetensors" / "two").read_bytes())


def archive(members, comment=b"", flags=0, method=0, crc=0):
    """A zip without checksums, which a fuzzer could not guess."""
    data, directory = b"", b""
    for name, content in members:
        fields = struct.pack("<HHHIIIIHH", 20, flags, method, 0, crc, len(content), len(content), len(name), 0)
        directory += b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, len(data)) + name
        data += b"PK\3\4" + fields + name + content
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(data), len(comment))
    return data + directory + b"PK\5\6" + end + comment


state = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n" \
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89}tRs."
put("pickle", "state.pkl", state)
put("zip", "stored", archive([(b"a", b"123"), (b"b/", b""), (b"c", b"")]))
put("zip", "commented", archive([(b"a", b"123")], b"comment"))
put("zip", "encrypted", archive([(b"a", b"123")], flags=1))
put("zip", "deflated", archive([(b"a", b"123")], method=8))
put("zip", "zip64", (lambda plain: plain[:-22] + b"PK\6\6" + struct.pack(
    "<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, len(plain) - 22 - 34, 34) + b"PK\6\7" + struct.pack(
    "<IQI", 0, len(plain) - 22, 1) + plain[-22:])(archive([(b"a", b"123")])))
put("weights", "state.pth", archive([(b"x/data.pkl", state), (b"x/data/0", bytes(8)), (b"x/byteorder", b"little")]))
def npy(descr, shape, data, fortran=False):
    header = str({"descr": descr, "fortran_order": fortran, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


put("weights", "array.npy", npy("<f4", (2, 2), bytes(16), True))
put("weights", "arrays.npz", archive([(b"W_E.npy", npy("<f4", (2, 2), bytes(16))), (b"b.npy", npy("<f8", (), bytes(8)))]))
put("weights", "tied.safetensors", safetensors(
    '{"__metadata__":{"b":"a"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)))
put("weights", "page.pth", b"<!DOCTYPE html>")
put("weights", "pointer.pth", b"version https://git-lfs.github.com/spec/v1\nsize 12\n")
put("weights", "script.pth", archive([(b"x/data.pkl", state), (b"x/constants.pkl", b"")]))

for path in [*(fixtures / "run_0.1.0").rglob("*.json"), *(fixtures / "run_0.1.0").rglob("*.jsonl")]:
    put("json", f"{path.parent.name}_{path.name}", path.read_bytes().split(b"\n{")[0])
put("json", "deep", b'{"a":' + b"[" * 70 + b"]" * 70 + b"}")
put("json", "wrong_sha256", b'{"step": 1, "sha256": "' + b"0" * 64 + b'"}')
