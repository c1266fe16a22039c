// A pelvis clip of the Tiltline open profile for the Seeed XIAO nRF52840 Sense (mbed-enabled core).
//
// Libraries (Arduino library manager): ArduinoBLE, "Seeed Arduino LSM6DS3". Gateway: driver = "open", rate_hz = 104,
// options = { acc_range_g = 8, gyr_range_dps = 2000 }, and the address that `tiltline scan` shows.
//
// What it does: reads the LSM6DS3TR-C whenever it has a new sample, numbers every sample from start-up, notifies ten of
// them a frame while a gateway asks for it, and keeps the last two minutes in memory, streaming or not, to send what
// the gateway missed when it asks. A clip that must bridge longer absences keeps its history in flash: only History changes.

#include <ArduinoBLE.h>
#include <LSM6DS3.h>
#include <Wire.h>

#include "tiltline_frame.h"

using tiltline::Block;

static const char SERVICE_UUID[] = "51d0c832-9964-4223-9a85-10b556a70001";
static const char DATA_UUID[] = "51d0c832-9964-4223-9a85-10b556a70002";
static const char CONTROL_UUID[] = "51d0c832-9964-4223-9a85-10b556a70003";

static const uint16_t RATE_HZ = 104;
static const tiltline::Ranges RANGES = {8, 16};  // as declared in the frames: 8 g, 16 * 125 = 2000 deg/s
// The chip's steps are not full scale / 32768: 0.244 mg at 8 g, and 35 mdps at "1000 deg/s", which really ends at 1147.
static const int32_t ACC_NUM = 244L * 32768 / 8, ACC_DEN = 1000L * 1000;
static const int32_t GYR_NUM = 35L * 32768 / 2000, GYR_DEN = 1000;
static const uint8_t STATUS_REG = 0x1E, NEW_ACC_AND_GYR = 0x03;
static const size_t BLOCKS = 1150;  // 11,500 samples, 110 s; 156 of the 256 kB of memory

static LSM6DS3 imu(I2C_MODE, 0x6A);
static BLEService service(SERVICE_UUID);
static BLECharacteristic data(DATA_UUID, BLENotify, tiltline::kFrameBytes);
static BLECharacteristic control(CONTROL_UUID, BLEWrite | BLERead, 9);

static tiltline::LongClock longClock;
static tiltline::History<BLOCKS> history;
static Block block;  // the one being filled
static uint32_t nextNumber = 0;
static uint64_t lastStart = 0;
static bool streaming = false;
static uint32_t askedFrom = 0, askedTo = 0;
static bool answering = false;

static void tellState() {
  const uint8_t n = tiltline::kPerFrame;
  const uint8_t state[] = {tiltline::kVersion, streaming, (uint8_t)RATE_HZ, (uint8_t)(RATE_HZ >> 8), n, RANGES.acc_g, RANGES.gyr_125};
  control.writeValue(state, streaming ? sizeof state : 2);
}

// ArduinoBLE cannot answer a write with an error: what this clip does not have is ignored, and the gateway, seeing no
// data, says that the sensor sends nothing.
static void onControl(BLEDevice, BLECharacteristic written) {
  const uint8_t *value = written.value();
  const int size = written.valueLength();
  if (size == 1 && value[0] == tiltline::kOpStop) {
    streaming = answering = false;
  } else if (size == 6 && value[0] == tiltline::kOpStart) {
    const uint16_t rate = value[1] | value[2] << 8;
    streaming = rate == RATE_HZ && value[3] == tiltline::kPerFrame && value[4] == RANGES.acc_g && value[5] == RANGES.gyr_125;
  } else if (size == 9 && value[0] == tiltline::kOpFetch) {
    uint32_t count;
    memcpy(&askedFrom, value + 1, 4);
    memcpy(&count, value + 5, 4);
    askedTo = askedFrom + count;
    answering = true;
  }
  tellState();
}

static void onDisconnected(BLEDevice) { streaming = answering = false; }

static void notifyBlock(const Block &b, uint8_t flags) {
  uint8_t frame[tiltline::kFrameBytes];
  const size_t size = tiltline::pack(frame, b, tiltline::kBatteryUnknown, RANGES, flags);
  data.writeValue(frame, size);
}

static void takeSample() {
  tiltline::Sample &s = block.samples[block.n];
  const uint64_t now = longClock.at(micros());
  const int16_t acc[3] = {imu.readRawAccelX(), imu.readRawAccelY(), imu.readRawAccelZ()};
  const int16_t gyr[3] = {imu.readRawGyroX(), imu.readRawGyroY(), imu.readRawGyroZ()};
  if (block.n == 0) {
    // The spacing of the last ten as measured: the chip's own oscillator is off by up to some percent.
    if (lastStart != 0) block.period_us = (uint16_t)((now - lastStart) / tiltline::kPerFrame);
    block.number = nextNumber;
    block.t_us = lastStart = now;
    block.saturated = 0;
  }
  for (int i = 0; i < 3; i++) {
    s.acc[i] = tiltline::scale(acc[i], ACC_NUM, ACC_DEN, &block.saturated);
    s.gyr[i] = tiltline::scale(gyr[i], GYR_NUM, GYR_DEN, &block.saturated);
  }
  nextNumber++;
  if (++block.n < tiltline::kPerFrame) return;
  history.push(block);
  if (streaming) notifyBlock(block, 0);
  block.n = 0;
}

// One kept frame at a time, so that samples are read and live frames sent in between.
static void answerOne() {
  const Block *kept = history.find(askedFrom, askedTo);
  if (kept != nullptr) {
    notifyBlock(*kept, tiltline::kFlagLate);
    askedFrom = kept->number + kept->n;
    if (askedFrom < askedTo) return;
  }
  uint8_t frame[tiltline::kHeaderBytes];
  data.writeValue(frame, tiltline::pack_end(frame, askedTo));
  answering = false;
}

void setup() {
  imu.settings.accelRange = 8;
  imu.settings.gyroRange = 1000;
  imu.settings.accelSampleRate = RATE_HZ;
  imu.settings.gyroSampleRate = RATE_HZ;
  block.period_us = 1000000L / RATE_HZ;
  if (imu.begin() != 0 || !BLE.begin()) {
    pinMode(LED_BUILTIN, OUTPUT);
    while (true) {  // nothing can be done: blink
      digitalWrite(LED_BUILTIN, !digitalRead(LED_BUILTIN));
      delay(200);
    }
  }
  BLE.setAdvertisedService(service);  // in the advertisement itself: the gateway finds the clip by it
  BLE.setAdvertisingInterval(160);    // 100 ms, in steps of 0.625 ms
  BLE.setConnectionInterval(12, 24);  // 15 to 30 ms, in steps of 1.25 ms
  service.addCharacteristic(data);
  service.addCharacteristic(control);
  BLE.addService(service);
  control.setEventHandler(BLEWritten, onControl);
  BLE.setEventHandler(BLEDisconnected, onDisconnected);
  tellState();
  BLE.advertise();
}

void loop() {
  BLE.poll();
  uint8_t status = 0;
  imu.readRegister(&status, STATUS_REG);
  if ((status & NEW_ACC_AND_GYR) == NEW_ACC_AND_GYR) {
    takeSample();
  } else if (answering && streaming) {
    answerOne();
  }
}
