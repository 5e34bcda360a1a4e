/** A device by its maker's own figures: what nothing can outrun there, and not what anything reaches. */
export interface NamedDevice {
  name: string
  /** bytes a second of its memory */
  bytesPerSecond: number
  /** operations a second in 32-bit floating point without tensor cores; null where the maker publishes none */
  flopsPerSecond: number | null
  /** where both figures stand */
  source: string
}

const giga = 1e9
const tera = 1e12

/**
 * Rates are those of FP32, as the bytes and operations that they are applied to are f32's: tensor cores are faster in 16
 * bits, but then half as many bytes would be read as well.
 */
export const namedDevices: readonly NamedDevice[] = [
  {
    name: 'NVIDIA T4',
    bytesPerSecond: 320 * giga,
    flopsPerSecond: 8.1 * tera,
    source: 'NVIDIA T4 Tensor Core GPU, datasheet (2019): GDDR6 320+ GB/s, single precision 8.1 TFLOPS',
  },
  {
    name: 'NVIDIA L4',
    bytesPerSecond: 300 * giga,
    flopsPerSecond: 30.3 * tera,
    source: 'NVIDIA L4 Tensor Core GPU, datasheet (2023): 300 GB/s, FP32 30.3 TFLOPS',
  },
  {
    name: 'NVIDIA GeForce RTX 4090',
    bytesPerSecond: 1008 * giga,
    flopsPerSecond: 82.6 * tera,
    source: 'NVIDIA Ada GPU Architecture, white paper (2022), table of GeForce RTX 4090: 1,008 GB/s, FP32 82.6 TFLOPS',
  },
  {
    name: 'NVIDIA A100 40 GB',
    bytesPerSecond: 1555 * giga,
    flopsPerSecond: 19.5 * tera,
    source: 'NVIDIA A100 Tensor Core GPU, datasheet (2020): 1,555 GB/s, FP32 19.5 TFLOPS',
  },
  {
    name: 'NVIDIA A100 80 GB SXM',
    bytesPerSecond: 2039 * giga,
    flopsPerSecond: 19.5 * tera,
    source: 'NVIDIA A100 Tensor Core GPU, datasheet (2021): 2,039 GB/s, FP32 19.5 TFLOPS',
  },
  {
    name: 'NVIDIA H100 SXM',
    bytesPerSecond: 3350 * giga,
    flopsPerSecond: 67 * tera,
    source: 'NVIDIA H100 Tensor Core GPU, datasheet (2023): 3.35 TB/s, FP32 67 TFLOPS',
  },
  {
    name: 'AMD Instinct MI300X',
    bytesPerSecond: 5300 * giga,
    flopsPerSecond: 163.4 * tera,
    source: 'AMD Instinct MI300X Accelerator, data sheet (2023): 5.3 TB/s, FP32 163.4 TFLOPS',
  },
  {
    name: 'Apple M1',
    bytesPerSecond: 68.3 * giga,
    flopsPerSecond: 2.6 * tera,
    source: 'Apple Newsroom, "Apple unleashes M1" (2020): 2.6 TFLOPS; LPDDR4X-4266 on 128 bits makes 68.3 GB/s',
  },
  {
    name: 'Apple M1 Max',
    bytesPerSecond: 400 * giga,
    flopsPerSecond: 10.4 * tera,
    source:
      'Apple Newsroom, "Introducing M1 Pro and M1 Max", and Apple event of October 18 (2021): 400 GB/s, 10.4 TFLOPS',
  },
  {
    name: 'Apple M2',
    bytesPerSecond: 100 * giga,
    flopsPerSecond: 3.6 * tera,
    source: 'Apple Newsroom, "Apple unveils M2", and WWDC keynote (2022): 100 GB/s, 3.6 TFLOPS',
  },
  {
    name: 'Apple M2 Max',
    bytesPerSecond: 400 * giga,
    flopsPerSecond: null,
    source: 'Apple Newsroom, "Apple unveils M2 Pro and M2 Max" (2023): 400 GB/s; no TFLOPS published',
  },
  {
    name: 'Apple M3',
    bytesPerSecond: 100 * giga,
    flopsPerSecond: null,
    source: 'Apple, MacBook Air (M3) technical specifications (2024): 100 GB/s; no TFLOPS published',
  },
  {
    name: 'Apple M3 Max',
    bytesPerSecond: 400 * giga,
    flopsPerSecond: null,
    source: 'Apple, MacBook Pro (M3 Max, 40-core GPU) technical specifications (2023): 400 GB/s; no TFLOPS published',
  },
  {
    name: 'Apple M4',
    bytesPerSecond: 120 * giga,
    flopsPerSecond: null,
    source: 'Apple Newsroom, "Apple introduces M4 chip" (2024): 120 GB/s; no TFLOPS published',
  },
  {
    name: 'Apple M4 Max',
    bytesPerSecond: 546 * giga,
    flopsPerSecond: null,
    source: 'Apple Newsroom, "Apple introduces M4 Pro and M4 Max" (2024): 546 GB/s (40-core GPU); no TFLOPS published',
  },
]

export interface Prediction {
  device: string
  bytesPerSecond: number
  flopsPerSecond: number | null
  /** at the least */
  milliseconds: number
  boundBy: 'BANDWIDTH' | 'COMPUTE'
  source: string
}

/**
 * The least time that reading and computing so much takes on each device, by the roofline: whichever of the two takes
 * longer (Williams, Waterman and Patterson 2009). A prediction from datasheets, which no measurement stands behind.
 * @param cost of one trial, in f32
 */
export function predictOnDevices(cost: { bytesRead: number; flops: number }): Prediction[] {
  return namedDevices.map(({ name, bytesPerSecond, flopsPerSecond, source }) => {
    const reading = cost.bytesRead / bytesPerSecond
    const computing = flopsPerSecond === null ? 0 : cost.flops / flopsPerSecond
    return {
      device: name,
      bytesPerSecond,
      flopsPerSecond,
      milliseconds: 1000 * Math.max(reading, computing),
      boundBy: reading >= computing ? 'BANDWIDTH' : 'COMPUTE',
      source,
    }
  })
}
