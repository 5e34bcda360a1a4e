import { runnableFamilies } from '../architecture/families.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { describeModel, type ModelFacts } from '../architecture/model-facts.ts'
import { withKvHeads } from '../architecture/pool-kv-heads.ts'
import type { HubSettings } from '../config.ts'
import { AppError } from '../errors.ts'
import type { Device } from './glossary.ts'
import { readExport, readSource } from './model-source.ts'
import type { BenchmarkTest, SubjectSpec } from './spec.ts'
import { subjectName, testName } from './spec-names.ts'

/** A subject as it is known when its run is submitted. */
export interface PlannedSubject {
  /** the spec's subject with its name filled in */
  spec: SubjectSpec & { name: string }
  config: ModelConfig
  facts: ModelFacts
  synthetic: boolean
}

/** Gives every subject without a name its model's, and makes those unique: `gpt2`, `gpt2-2`, ... */
function fillNames(subjects: readonly { spec: SubjectSpec; config: ModelConfig }[]): string[] {
  const taken = new Set<string>()
  for (const { spec } of subjects) {
    if (spec.name === null) continue
    if (taken.has(spec.name)) {
      throw new AppError('VALIDATION_FAILED', `two subjects are named ${JSON.stringify(spec.name)}`, 'Name them apart.')
    }
    taken.add(spec.name)
  }
  return subjects.map(({ spec, config }) => {
    if (spec.name !== null) return spec.name
    const base = subjectName(config.name, spec)
    let name = base
    for (let count = 2; taken.has(name); count++) name = `${base}-${count}`
    taken.add(name)
    return name
  })
}

/**
 * Describes every subject without opening its weights, converted where the spec asks for it.
 * @throws AppError of readSource, and VALIDATION_FAILED where K/V heads cannot be pooled as asked
 */
export async function planSubjects(
  specs: readonly SubjectSpec[],
  roots: readonly string[],
  hub: HubSettings,
): Promise<PlannedSubject[]> {
  const read = await Promise.all(
    specs.map(async (spec) => {
      const { convert, dtype, runtime, source } = spec
      const { config, shapes, synthetic } =
        runtime === 'TRANSFORMERS_JS' ? await readExport(source, dtype, roots) : await readSource(source, roots, hub)
      if (convert === null) return { spec, config, facts: describeModel(config, shapes), synthetic }
      const converted = withKvHeads(config, convert.kvHeads)
      // The shapes on disk are those of the model before its heads are pooled.
      return { spec, config: converted, facts: describeModel(converted, null), synthetic }
    }),
  )
  const names = fillNames(read)
  return read.map((subject, index) => ({ ...subject, spec: { ...subject.spec, name: names[index] ?? '' } }))
}

/**
 * Refuses a model that can be looked at only. What transformers.js runs is the library's to say: an export brings its own
 * graph.
 * @throws AppError CONFIG_UNSUPPORTED naming its family and those that can be run, or a device that the runtime is not
 * measured on
 */
export function checkRunnable(subjects: readonly PlannedSubject[]): void {
  for (const { spec, config } of subjects) {
    if (spec.runtime === 'TRANSFORMERS_JS') {
      checkPeerDevice(spec)
      continue
    }
    if (runnableFamilies.includes(config.family)) continue
    throw new AppError(
      'CONFIG_UNSUPPORTED',
      `${spec.name}: the engine cannot run the family ${config.family}`,
      `It runs ${runnableFamilies.join(', ')}; sizes can be looked at for more.`,
    )
  }
}

function checkPeerDevice({ name, device }: PlannedSubject['spec']): void {
  if (device === 'CPU') return
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `${name}: runtime TRANSFORMERS_JS on ${device}: it is run on the CPU, where its cache can be measured`,
    'Ask for device CPU, or take runtime KVSCOPE.',
  )
}

/**
 * Refuses a test that needs more positions than a subject's model has.
 * @throws AppError CONTEXT_EXCEEDED naming the test and the model
 */
export function checkContext(subjects: readonly PlannedSubject[], tests: readonly BenchmarkTest[]): void {
  for (const { spec, config } of subjects) {
    for (const test of tests) {
      const tokens = test.depth + test.promptTokens + test.generatedTokens
      if (tokens <= config.contextLength) continue
      throw new AppError(
        'CONTEXT_EXCEEDED',
        `${testName(test)} needs ${tokens} tokens, and ${spec.name} has a context of ${config.contextLength}`,
        'Lower depth, promptTokens or generatedTokens, or choose a model with a longer context.',
      )
    }
  }
}

/**
 * The device whose queue a run waits in: the only one besides CPU that its subjects ask for, else CPU.
 * @throws AppError VALIDATION_FAILED where they ask for two different ones
 */
export function deviceOf(subjects: readonly Pick<SubjectSpec, 'device'>[]): Device {
  const [device = 'CPU', ...others] = new Set(
    subjects.map((subject) => subject.device).filter((name) => name !== 'CPU'),
  )
  if (others.length === 0) return device
  throw new AppError(
    'VALIDATION_FAILED',
    `the subjects ask for ${[device, ...others].join(' and ')}, and one worker runs them all`,
    'Ask for one device besides CPU in a run, and compare two runs.',
  )
}
