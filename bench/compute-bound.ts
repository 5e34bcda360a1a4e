import { openPlainProduct } from '../src/bench/matrix-products.ts'
import type { Checkpoint } from '../src/checkpoints/checkpoint.ts'
import { matricesOf, openWeightProducts, weightOf } from './products.ts'

export interface ComputeProbe {
  /** floating-point operations a second: the best of a few large products of each shape */
  measure(): Promise<number>
  close(): Promise<void>
}

const rows = 512
const square = { rows: 2048, inner: 2048, columns: 2048 }
const repeats = 3
/** Four layers' products take long enough that threads are awake and clocks are up, as they are in a whole prefill. */
const sustained = /^h\.[0-3]\./

/**
 * Large matrix products by the runtime and the threads that the model has: its own weights, packed at load as the model's
 * are, times 512 rows, one matrix of the MLP alone and those of four layers in a row; and a product of two square
 * matrices that are packed anew each time.
 */
export async function openComputeProbe(checkpoint: Checkpoint, threads: number): Promise<ComputeProbe> {
  const products = [
    await openWeightProducts([weightOf(checkpoint, 'h.0.mlp.c_fc.weight')], rows, threads),
    await openWeightProducts([weightOf(checkpoint, 'h.0.mlp.c_proj.weight')], rows, threads),
    await openWeightProducts(
      matricesOf(checkpoint).filter(({ name }) => sustained.test(name)),
      rows,
      threads,
    ),
    await openPlainProduct(square, threads),
  ]
  return {
    async measure() {
      let best = 0
      for (let repeat = 0; repeat < repeats; repeat += 1) {
        for (const product of products) best = Math.max(best, product.operations / (await product.run()))
      }
      return best
    },
    async close() {
      for (const product of products) await product.close()
    },
  }
}
