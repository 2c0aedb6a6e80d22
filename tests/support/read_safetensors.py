import json, sys, numpy as np
raw = open(sys.argv[1], "rb").read()
n = int.from_bytes(raw[:8], "little")
header, data = json.loads(raw[8:8 + n]), raw[8 + n:]
types = dict(F64="f8", F32="f4", F16="f2", BF16="u2", I64="i8", I32="i4", I16="i2", I8="i1", U8="u1", BOOL="?")
for name, t in header.items():
    if name != "__metadata__":
        print(json.dumps([name, t["shape"], np.frombuffer(data[slice(*t["data_offsets"])], types[t["dtype"]]).reshape(t["shape"]).tolist()]))
