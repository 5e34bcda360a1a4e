import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { readConfig } from '../src/config.ts'
import { machineOf, type Recording, recordedModels, recordInOwnProcess, recordSessions } from './recorded-series.ts'

// Records what bench/calibration.ts plays: node tools/start.mjs bench/record-series.ts --out bench/recorded/NAME.json
// Each session has a process of its own, as each run of a benchmark has.

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    /** of subjects that are loaded once, and of subjects that every block loads anew */
    sessions: { type: 'string', default: '6' },
    reloaded: { type: 'string', default: '2' },
    blocks: { type: 'string', default: '60' },
    /** one session of this model and seed, as JSON on stdout */
    model: { type: 'string' },
    seed: { type: 'string', default: '1' },
    reload: { type: 'boolean', default: false },
  },
})
const blocks = Number(values.blocks)
if (values.model !== undefined) {
  const model = recordedModels.find((name) => name === values.model)
  if (model === undefined) throw new TypeError(`--model is ${values.model}: one of ${recordedModels.join(', ')}`)
  const { dataDir } = readConfig()
  const options = { blocks, seed: Number(values.seed), reload: values.reload, dataDir }
  process.stdout.write(JSON.stringify(await recordSessions(model, options)))
} else {
  if (values.out === undefined) throw new TypeError('--out names the file to write')
  await record(values.out, Number(values.sessions), Number(values.reloaded))
}

async function record(out: string, once: number, reloaded: number): Promise<void> {
  const sessions: Recording['sessions'] = []
  for (let seed = 1; seed <= Math.max(once, reloaded); seed += 1) {
    for (const model of recordedModels) {
      for (const reload of [false, true]) {
        if (seed > (reload ? reloaded : once)) continue
        process.stderr.write(`session ${seed}, ${model}${reload ? ', loaded anew in each block' : ''}\n`)
        sessions.push(...(await recordInOwnProcess(model, { blocks, seed, reload })))
      }
    }
    const how = `node tools/start.mjs bench/record-series.ts --sessions ${once} --reloaded ${reloaded} --blocks ${blocks}`
    const head = JSON.stringify({ how, recordedAt: new Date().toISOString(), ...machineOf() }, null, 2)
    const lines = sessions.map((session) => `    ${JSON.stringify(session)}`).join(',\n')
    await writeFile(out, `${head.replace(/\n\}$/, '')},\n  "sessions": [\n${lines}\n  ]\n}\n`)
  }
}
