"""The example firmware against the gateway's own parser: the same constants, and the same bytes from its C++ half."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from processing.types import GRAVITY_MPS2, ImuBatch
from sensor_gateway.drivers import open_frame
from sensor_gateway.drivers import open_profile as profile
from sensor_gateway.drivers.base import Late
from sensor_gateway.drivers.open_profile import OpenProfileDriver, encode_end, encode_frames

FOLDER = Path(__file__).parents[2] / "examples" / "firmware" / "open_clip"
SKETCH = (FOLDER / "open_clip.ino").read_text()
HEADER = (FOLDER / "tiltline_frame.h").read_text()

HARNESS = r"""
#include <cstdio>
#include "tiltline_frame.h"
using namespace tiltline;
static void show(const uint8_t *bytes, size_t n) {
  for (size_t i = 0; i < n; i++) std::printf("%02x", bytes[i]);
  std::printf("\n");
}
static Block made(uint32_t number) {
  Block b = {};
  b.number = number;
  b.t_us = (uint64_t)number * 9615 + ((uint64_t)1 << 32);
  b.period_us = 9615;
  b.n = kPerFrame;
  for (int i = 0; i < kPerFrame; i++)
    for (int k = 0; k < 3; k++) {
      b.samples[i].acc[k] = (int16_t)(number + 100 * i + k);
      b.samples[i].gyr[k] = (int16_t)(-1000 * i - k);
    }
  return b;
}
int main() {
  uint8_t out[kFrameBytes];
  const Ranges ranges = {8, 16};
  show(out, pack(out, made(70000), 87, ranges, 0));
  show(out, pack(out, made(70010), kBatteryUnknown, ranges, kFlagLate));
  show(out, pack_end(out, 70020));
  static History<20> history;
  for (uint32_t n = 0; n < 500; n += kPerFrame) history.push(made(n));
  uint32_t from = 255;  // a range whose beginning is no longer held, and which ends within a block
  while (const Block *b = history.find(from, 335)) {
    std::printf("%u ", b->number);
    from = b->number + b->n;
  }
  std::printf("\n");
  uint8_t saturated = 0;
  std::printf("%d %d", scale(1000, 57344, 100000, &saturated), scale(-1000, 57344, 100000, &saturated));
  std::printf(" %d", saturated);
  std::printf(" %d", scale(32767, 57344, 100000, &saturated));
  std::printf(" %d\n", saturated);
  LongClock clock;
  clock.at(4294967000u);
  std::printf("%llu\n", (unsigned long long)clock.at(704u));
  std::printf("%04x\n", crc16((const uint8_t *)"123456789", 9, 0xFFFF));
}
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the firmware's C++ half prints, compiled with every warning an error."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed; `make test` installs it")
    folder = tmp_path_factory.mktemp("firmware")
    (folder / "harness.cpp").write_text(HARNESS)
    flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    subprocess.run(
        ["g++", *flags, f"-I{FOLDER}", str(folder / "harness.cpp"), "-o", str(folder / "harness")], check=True
    )
    done = subprocess.run([str(folder / "harness")], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def constant(name: str, text: str) -> int:
    found = re.search(rf"\b{name} = (0x[0-9a-fA-F]+|\d+)\b", text)
    assert found, name
    return int(found.group(1), 0)


def test_the_sketch_names_the_profiles_characteristics() -> None:
    for name in ("SERVICE_UUID", "DATA_UUID", "CONTROL_UUID"):
        found = re.search(rf'{name}\[\] = "([0-9a-f-]+)"', SKETCH)
        assert found, name
        assert found.group(1) == getattr(profile, name)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("kMagic", "MAGIC"), ("kVersion", "VERSION"), ("kHeaderBytes", "HEADER_BYTES"), ("kSampleBytes", "SAMPLE_BYTES"),
     ("kFlagSaturated", "FLAG_SATURATED"), ("kFlagKeeps", "FLAG_KEEPS"), ("kFlagLate", "FLAG_LATE"),
     ("kBatteryUnknown", "BATTERY_UNKNOWN"), ("kOpStop", "OP_STOP"), ("kOpStart", "OP_START"), ("kOpFetch", "OP_FETCH"),
     ("kPerFrame", "DEFAULT_BATCH")],
)  # fmt: skip
def test_constants_are_the_parsers(theirs: str, ours: str) -> None:
    parsers = {**vars(open_frame), **vars(profile)}
    assert constant(theirs, HEADER) == parsers[ours]


def test_the_sketch_starts_with_what_the_gateway_writes() -> None:
    rate = constant("RATE_HZ", SKETCH)
    found = re.search(r"RANGES = \{(\d+), (\d+)\}", SKETCH)
    assert found
    acc_g, gyr_125 = map(int, found.groups())
    driver = OpenProfileDriver(rate, acc_range_g=acc_g, gyr_range_dps=gyr_125 * 125)
    stop, start = (step.payload for step in driver.start())
    assert (len(stop), len(start)) == (1, 6)
    assert int.from_bytes(start[1:3], "little") == rate
    assert tuple(start[3:]) == (profile.DEFAULT_BATCH, acc_g, gyr_125)
    assert f"{profile.HEADER_BYTES + profile.DEFAULT_BATCH * profile.SAMPLE_BYTES}" == "140"


def blocks(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The harness's samples as the firmware means them: 8 g and 2000 deg/s full scale."""
    i, k = np.arange(10)[:, None], np.arange(3)[None, :]
    raw_acc = (number + 100 * i + k + 32768) % 65536 - 32768
    return raw_acc * 8 * GRAVITY_MPS2 / 32768, np.radians((-1000 * i - k) * 2000 / 32768)


def test_frames_are_the_encoders_byte_for_byte_and_read_by_the_driver(said: list[str]) -> None:
    driver, kinds = OpenProfileDriver(104), []
    for line, number, battery, flags in (
        (said[0], 70000, 87.0, profile.FLAG_KEEPS),
        (said[1], 70010, None, profile.FLAG_KEEPS | profile.FLAG_LATE),
    ):
        acc, gyr = blocks(number)
        t_us = number * 9615 + 2**32
        (frame,) = encode_frames(number, t_us, acc, gyr, battery, period_us=9615, gyr_range_dps=2000, flags=flags)
        assert line == frame.hex()
        item = driver.feed(profile.DATA_UUID, bytes.fromhex(line), 0, 0)[-1]
        kinds.append(type(item))
        batch = item.batch if isinstance(item, Late) else item
        assert isinstance(batch, ImuBatch)
        np.testing.assert_array_equal(batch.t_dev_ticks, t_us + 9615 * np.arange(10))
        np.testing.assert_allclose(batch.acc_mps2, acc)
        np.testing.assert_allclose(batch.gyr_rps, gyr)
    assert kinds == [ImuBatch, Late]
    assert said[2] == encode_end(70020).hex()


def test_the_history_answers_what_it_still_holds_oldest_first(said: list[str]) -> None:
    assert said[3].split() == ["300", "310", "320", "330"]


def test_values_are_rescaled_and_saturation_is_told(said: list[str]) -> None:
    assert said[4] == "573 -573 0 18790 1"


def test_the_clock_goes_on_over_the_wrap_of_micros(said: list[str]) -> None:
    assert said[5] == str(2**32 + 704)


def test_the_checksum_is_the_documented_one(said: list[str]) -> None:
    assert said[6] == "29b1"


def test_the_sketch_scales_as_the_chips_data_sheet_says() -> None:
    """LSM6DS3TR-C: 0.244 mg at 8 g, 35 mdps at 1000 deg/s; the frame declares 8 g and 2000 deg/s over 32768 steps."""
    assert "244L * 32768 / 8, ACC_DEN = 1000L * 1000" in SKETCH
    assert pytest.approx(0.244e-3 / (8 / 32768), rel=1e-5) == 244 * 32768 / 8 / 1e6
    assert "35L * 32768 / 2000, GYR_DEN = 1000" in SKETCH
    assert pytest.approx(0.035 / (2000 / 32768), rel=1e-3) == (35 * 32768 // 2000) / 1000


STUBS = r"""
#include <cstdint>
#include <cstring>
#define LED_BUILTIN 11
#define OUTPUT 1
#define I2C_MODE 0
enum { BLERead = 2, BLEWrite = 8, BLENotify = 16, BLEWritten = 3, BLEDisconnected = 1 };
inline void pinMode(int, int) {}
inline void digitalWrite(int, int) {}
inline int digitalRead(int) { return 0; }
inline void delay(unsigned long) {}
inline unsigned long micros() { return 0; }
struct BLEDevice {};
struct BLECharacteristic {
  BLECharacteristic(const char *, int, int) {}
  const uint8_t *value() { return nullptr; }
  int valueLength() { return 0; }
  int writeValue(const void *, int) { return 1; }
  void setEventHandler(int, void (*)(BLEDevice, BLECharacteristic)) {}
};
struct BLEService {
  explicit BLEService(const char *) {}
  void addCharacteristic(BLECharacteristic &) {}
};
struct Ble {
  bool begin() { return true; }
  void poll() {}
  void advertise() {}
  void addService(BLEService &) {}
  void setAdvertisedService(BLEService &) {}
  void setAdvertisingInterval(int) {}
  void setConnectionInterval(int, int) {}
  void setEventHandler(int, void (*)(BLEDevice)) {}
};
static Ble BLE;
struct LSM6DS3 {
  struct Settings { int accelRange, gyroRange, accelSampleRate, gyroSampleRate; } settings;
  LSM6DS3(int, int) {}
  int begin() { return 0; }
  int readRegister(uint8_t *, uint8_t) { return 0; }
  int16_t readRawAccelX() { return 0; }
  int16_t readRawAccelY() { return 0; }
  int16_t readRawAccelZ() { return 0; }
  int16_t readRawGyroX() { return 0; }
  int16_t readRawGyroY() { return 0; }
  int16_t readRawGyroZ() { return 0; }
};
"""


def test_the_sketch_is_valid_cpp_against_the_libraries_calls_it_makes(tmp_path: Path) -> None:
    """Not the board's own compiler: the language, the types, and that every call has the arguments it needs."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed; `make test` installs it")
    (tmp_path / "ArduinoBLE.h").write_text("#pragma once\n" + STUBS)
    for name in ("LSM6DS3.h", "Wire.h"):
        (tmp_path / name).write_text("")
    flags = ["-std=c++14", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror", "-x", "c++"]
    command = ["g++", *flags, f"-I{tmp_path}", f"-I{FOLDER}", str(FOLDER / "open_clip.ino")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
