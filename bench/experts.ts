import { findPreset } from '../src/architecture/presets.ts'
import { readModelConfig } from '../src/architecture/read-config.ts'
import { trialCost } from '../src/architecture/step-cost.ts'
import { now } from '../src/bench/clock.ts'
import { physicalCores } from '../src/bench/physical-cores.ts'
import { tokensPerStep } from '../src/bench/plan.ts'
import { readConfig } from '../src/config.ts'
import { loadModel } from '../src/models/runner.ts'
import { openSynthetic } from '../src/models/synthetic.ts'
import { median } from '../src/stats/quantile.ts'
import { jsonFile, noteLoad, printTable, reportFigures } from './report.ts'

// Whether decode reads the weights of the chosen experts alone: one model's weights, of whose eight experts a token goes
// through two, four or all eight. Time has to follow the bytes of those; the models take turns token by token.

const preset = 'mixtral-small'
const prompt = 32
const tokens = 40
const choices = [2, 4, 8]

const report = jsonFile()
const { dataDir } = readConfig()
const threads = physicalCores()
console.log(`${preset}, f32, ${threads} threads; SYNTHETIC WEIGHTS (they are in ${dataDir})`)
noteLoad(threads)

const { checkpoint } = await openSynthetic({ preset, seed: 0, overrides: null }, dataDir)
const subjects = await Promise.all(
  choices.map(async (chosen) => {
    const config = readModelConfig({ ...findPreset(preset).config, num_experts_per_tok: chosen }, preset)
    const model = await loadModel(checkpoint, config, { provider: 'cpu', threads })
    const cache = model.createCache(1, prompt + tokens)
    await model.forward([Array.from({ length: prompt }, (_, index) => (index * 97) % config.vocabularySize)], cache)
    const test = { depth: prompt, promptTokens: 0, generatedTokens: 1, batch: 1 }
    const { bytesRead } = trialCost(config, test, { tokensPerStep })
    return { chosen, config, model, cache, bytesRead, times: [] as number[] }
  }),
)
for (let token = 0; token < tokens; token++) {
  for (const { config, model, cache, times } of subjects) {
    const start = now()
    await model.forward([[(token * 131) % config.vocabularySize]], cache)
    times.push(now() - start)
  }
}
for (const { model } of subjects) await model.close()

const rows = subjects.map(({ chosen, bytesRead, times }) => ({ chosen, bytesRead, time: median(times) }))
const all = rows.at(-1)
if (!all) throw new Error('nothing was measured')
printTable(
  ['experts a token', 'bytes a token', 'of all', 'time a token', 'of all', 'GB/s'],
  rows.map(({ chosen, bytesRead, time }) => [
    `${chosen} of 8`,
    `${(bytesRead / 1e6).toFixed(0)} MB`,
    (bytesRead / all.bytesRead).toFixed(2),
    `${time.toFixed(1)} ms`,
    (time / all.time).toFixed(2),
    (bytesRead / time / 1e6).toFixed(1),
  ]),
)
const [two] = rows
if (!two) throw new Error('nothing was measured')
await reportFigures(
  [
    { name: 'decode_2_of_8_experts_share_of_bytes', value: two.bytesRead / all.bytesRead, unit: '' },
    { name: 'decode_2_of_8_experts_share_of_time', value: two.time / all.time, unit: '' },
  ],
  {
    decode_2_of_8_experts_share_of_time: {
      least: null,
      most: Number(((1.2 * two.bytesRead) / all.bytesRead).toFixed(2)),
    },
  },
  report,
)
