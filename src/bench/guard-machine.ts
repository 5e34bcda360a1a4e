import type { Warning } from '../stats/measured-series.ts'
import type { MachineUse } from './machine-use.ts'

/** Processors are counted in hundredths of a second: less than this says nothing. */
const leastWall = 2000
/** Share of all processors that others may have during the trials. */
const otherShare = 0.1
/** A computing process has at least so much of one processor, unless it waits for one or for a disk. */
const ownShare = 0.9
/** Share of all processors' time that a hypervisor may take away. */
const stealShare = 0.02
/** Pages: a megabyte, of 4 kB each. */
const fewPages = 256

const percent = (share: number) => `${(100 * share).toFixed(0)} %`

/** What others did to the machine while trials were timed: OTHER_LOAD, STEAL and SWAPPING. */
export function machineWarnings(use: MachineUse, onCpu: boolean): Warning[] {
  if (use.wall < leastWall) return []
  return [...otherLoad(use, onCpu), ...stolen(use), ...swapping(use)]
}

/** Whether others had more than a tenth of all processors' time; false where the system does not tell. */
export function isCrowded(use: MachineUse): boolean {
  const others = processorsOfOthers(use)
  return others !== null && use.processors !== null && others > otherShare * use.processors
}

function processorsOfOthers({ wall, own, busy, processors }: MachineUse): number | null {
  return busy === null || processors === null || wall === 0 ? null : Math.max(0, busy - own) / wall
}

function otherLoad(use: MachineUse, onCpu: boolean): Warning[] {
  const { wall, own, processors } = use
  const others = processorsOfOthers(use)
  const crowded = isCrowded(use)
  const starved = onCpu && own < ownShare * wall
  if (!crowded && !starved) return []
  const ofOthers = others === null ? '' : `other processes had ${others.toFixed(2)} of ${processors} processors, and `
  return [
    {
      code: 'OTHER_LOAD',
      message: `in ${(wall / 1000).toFixed(1)} s of timed trials ${ofOthers}this process had ${(own / wall).toFixed(2)}`,
      advice: 'Stop other work and measure again; ratios of interleaved subjects suffer least.',
    },
  ]
}

function stolen({ wall, steal, processors }: MachineUse): Warning[] {
  if (steal === null || processors === null || steal <= stealShare * wall * processors) return []
  return [
    {
      code: 'STEAL',
      message: `the hypervisor gave ${percent(steal / wall / processors)} of the processors' time to other machines while trials were timed`,
      advice: 'Measure on a machine of your own, or compare only subjects of one run.',
    },
  ]
}

function swapping({ swapped, majorFaults }: MachineUse): Warning[] {
  if ((swapped ?? 0) < fewPages && majorFaults < fewPages) return []
  return [
    {
      code: 'SWAPPING',
      message: `while trials were timed the machine swapped ${swapped ?? 'an unknown number of'} pages and this process waited for ${majorFaults} pages from a disk`,
      advice: 'Free memory or take a smaller model: these trials timed the disk too.',
    },
  ]
}
