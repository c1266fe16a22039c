"""A site's sensors as a person deals with them: found on the air, bound to a wearer, looked after, captured, read out.

Behind `tiltline scan`, `bind`, `sensors`, `capture` and `recordings`. The links of a running gateway are in `radio/`, what the bytes
mean in `drivers/`.
"""
