// Frames of the Tiltline open profile, version 1 (docs/open_profile.md), and a ring of those that were not sent.
//
// Plain C++11 without Arduino, so that it can be compiled and compared with the gateway's own parser on any computer:
// tests/examples/test_firmware.py does that. Little-endian controllers only (every nRF52, ESP32, RP2040, STM32 is).

#ifndef TILTLINE_FRAME_H
#define TILTLINE_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace tiltline {

const uint8_t kMagic = 0x54;
const uint8_t kVersion = 1;
const size_t kHeaderBytes = 20;
const size_t kSampleBytes = 12;
const uint8_t kFlagSaturated = 0x01;
const uint8_t kFlagKeeps = 0x02;
const uint8_t kFlagLate = 0x04;
const uint8_t kBatteryUnknown = 255;
const uint8_t kOpStop = 0x00;
const uint8_t kOpStart = 0x01;
const uint8_t kOpFetch = 0x02;
const uint8_t kPerFrame = 10;
const size_t kFrameBytes = kHeaderBytes + kPerFrame * kSampleBytes;

struct Sample {
  int16_t acc[3];
  int16_t gyr[3];
};

// Samples that belong together: all that a frame needs besides battery and flags.
struct Block {
  uint32_t number;     // of the first sample since start-up; never repeated, never reset by a reconnection
  uint64_t t_us;       // moment of the first sample on a clock that is never adjusted
  uint16_t period_us;  // spacing as measured on the same clock
  uint8_t n;
  uint8_t saturated;
  Sample samples[kPerFrame];
};

struct Ranges {
  uint8_t acc_g;      // 2, 4, 8 or 16
  uint8_t gyr_125;    // 1, 2, 4, 8 or 16 times 125 deg/s
};

// CRC-16, polynomial 0x1021, start 0xFFFF; "123456789" gives 0x29B1.
inline uint16_t crc16(const uint8_t *data, size_t size, uint16_t crc) {
  for (size_t i = 0; i < size; i++) {
    crc ^= (uint16_t)(data[i] << 8);
    for (int bit = 0; bit < 8; bit++) crc = (crc & 0x8000) ? (uint16_t)((crc << 1) ^ 0x1021) : (uint16_t)(crc << 1);
  }
  return crc;
}

inline void put(uint8_t *out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> (8 * i));
}

// Write the header and seal the frame, whose samples stand in out already; its size.
inline size_t seal(uint8_t *out, uint32_t number, uint64_t t_us, uint16_t period_us, uint8_t n, uint8_t battery,
                   Ranges ranges, uint8_t flags) {
  out[0] = kMagic;
  out[1] = (uint8_t)(kVersion << 4 | flags);
  put(out + 2, number & 0xFFFF, 2);
  put(out + 4, t_us, 6);
  put(out + 10, period_us, 2);
  out[12] = n;
  out[13] = battery;
  out[14] = ranges.acc_g;
  out[15] = ranges.gyr_125;
  put(out + 16, number >> 16, 2);
  const size_t size = kHeaderBytes + n * kSampleBytes;
  uint16_t crc = crc16(out, 18, 0xFFFF);
  crc = crc16(out + kHeaderBytes, size - kHeaderBytes, crc);
  put(out + 18, crc, 2);
  return size;
}

// A block as a frame; out has room for kFrameBytes.
inline size_t pack(uint8_t *out, const Block &block, uint8_t battery, Ranges ranges, uint8_t flags) {
  memcpy(out + kHeaderBytes, block.samples, block.n * kSampleBytes);
  const uint8_t all = (uint8_t)(flags | kFlagKeeps | (block.saturated ? kFlagSaturated : 0));
  return seal(out, block.number, block.t_us, block.period_us, block.n, battery, ranges, all);
}

// The frame without samples that ends an answer; next: first number after the range that was asked for.
inline size_t pack_end(uint8_t *out, uint32_t next) {
  const Ranges any = {2, 1};
  return seal(out, next, 0, 1, 0, kBatteryUnknown, any, kFlagKeeps | kFlagLate);
}

// raw * numerator / denominator, rounded, at the ends of the range where it would leave it.
inline int16_t scale(int16_t raw, int32_t numerator, int32_t denominator, uint8_t *saturated) {
  const int64_t product = (int64_t)raw * numerator;
  const int64_t half = denominator / 2;
  int64_t value = (product >= 0 ? product + half : product - half) / denominator;
  if (value > 32767) value = 32767;
  if (value < -32768) value = -32768;
  if (value >= 32767 || value <= -32767 || raw == 32767 || raw == -32768) *saturated = 1;
  return (int16_t)value;
}

// 32 bits of microseconds, carried on over their wrap; to be asked at least once an hour.
class LongClock {
 public:
  uint64_t at(uint32_t now_us) {
    time_ += (uint32_t)(now_us - last_);
    last_ = now_us;
    return time_;
  }

 private:
  uint64_t time_ = 0;
  uint32_t last_ = 0;
};

// The last kBlocks blocks, sent or not: what is asked for again must still be here.
template <size_t kBlocks>
class History {
 public:
  void push(const Block &block) {
    blocks_[next_] = block;
    next_ = (next_ + 1) % kBlocks;
    if (held_ < kBlocks) held_++;
  }

  // The oldest block held with any sample of [from, to); nullptr where there is none. Whole blocks are answered: a sample
  // beside the range comes again, which the gateway sees and drops.
  const Block *find(uint32_t from, uint32_t to) const {
    for (size_t i = 0; i < held_; i++) {
      const Block &b = blocks_[(next_ + kBlocks - held_ + i) % kBlocks];
      if (b.number < to && b.number + b.n > from) return &b;
    }
    return nullptr;
  }

 private:
  Block blocks_[kBlocks];
  size_t next_ = 0;
  size_t held_ = 0;
};

}  // namespace tiltline

#endif
