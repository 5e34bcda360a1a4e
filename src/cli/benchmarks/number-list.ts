import { InvalidArgumentError } from 'commander'

/** Values that one option may hold, its ranges written out. */
const most = 1024

/** `512`, `512-2048`, `512-2048+512` or `512-2048*2`, as llama-bench writes them. */
const range = /^(\d+)(?:-(\d+)(?:([+*])(\d+))?)?$/

/**
 * Whole numbers as llama-bench takes them: separated by commas, with ranges `first-last`, `first-last+step` and
 * `first-last*factor`, and one list after another where the option is given again.
 */
export function numberList(least: number, greatest: number): (text: string, earlier?: number[]) => number[] {
  return (text, earlier = []) => {
    const values = [...earlier, ...text.split(',').flatMap((part) => writeOut(part.trim()))]
    for (const value of values) {
      if (value < least || value > greatest)
        throw new InvalidArgumentError(`${value} is not a whole number from ${least} to ${greatest}.`)
    }
    if (values.length > most) throw new InvalidArgumentError(`${text} holds more than ${most} values.`)
    return values
  }
}

function writeOut(part: string): number[] {
  const [, first, last = first, sign = '+', by = '1'] = range.exec(part) ?? []
  if (first === undefined) {
    throw new InvalidArgumentError(`${part === '' ? 'nothing' : part} is no number and no range such as 512-2048*2.`)
  }
  const values: number[] = []
  for (let value = Number(first); value <= Number(last) && values.length <= most; ) {
    values.push(value)
    const next = sign === '*' ? value * Number(by) : value + Number(by)
    if (next <= value) throw new InvalidArgumentError(`the range ${part} never gets to its end.`)
    value = next
  }
  if (values.length === 0) throw new InvalidArgumentError(`the range ${part} is empty.`)
  return values
}

/** A prompt and what is generated after it, one trial of both: `512,128`. */
export interface PromptAndGenerated {
  promptTokens: number
  generatedTokens: number
}

/** llama-bench's `-pg 512,128`; given again it adds a test. */
export function promptAndGenerated(greatest: number) {
  return (text: string, earlier: PromptAndGenerated[] = []): PromptAndGenerated[] => {
    const [promptTokens, generatedTokens, ...rest] = text.split(',').map((part) => Number(part.trim() || Number.NaN))
    const sizes = [promptTokens, generatedTokens]
    const right = (size: number | undefined) => Number.isInteger(size) && Number(size) >= 1 && Number(size) <= greatest
    if (promptTokens === undefined || generatedTokens === undefined || rest.length > 0 || !sizes.every(right))
      throw new InvalidArgumentError(`${text} is not a prompt and a number of tokens such as 512,128.`)
    return [...earlier, { promptTokens, generatedTokens }]
  }
}
