"""Parts of the clock stages: what `timebase` (live), `retro_clock` and `steady_clock` (looking back) make device time into UTC with."""
