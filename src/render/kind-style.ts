import type { Theme } from './theme.ts'

/** How query heads get keys and values. The same words as everywhere else in kvscope. */
export type AttentionKind = 'MHA' | 'GQA' | 'MQA' | 'MLA'

/**
 * How a kind looks wherever it appears. Hue says which kind; the mark's shape and the line's dash say it again to eyes
 * that do not see the hue, and on grey paper.
 */
export interface KindStyle {
  name: string
  /** OKLCH hue of the kind's ramps, degrees */
  hue: number
  colour: Record<Theme, string>
  /** SVG stroke-dasharray; empty: solid */
  dash: string
  mark: { shape: 'circle' | 'square' | 'triangle' | 'diamond'; path: string; character: string }
}

/** A mark's path lies in a box of 16 x 16. */
export const kindStyles: Record<AttentionKind, KindStyle> = {
  MHA: {
    name: 'multi-head attention',
    hue: 262,
    colour: { light: '#4a7cf0', dark: '#5b9dff' },
    dash: '',
    mark: { shape: 'circle', path: 'M2.5 8a5.5 5.5 0 1 1 11 0a5.5 5.5 0 1 1-11 0z', character: '●' },
  },
  GQA: {
    name: 'grouped-query attention',
    hue: 165,
    colour: { light: '#0a5a38', dark: '#5ce6cf' },
    dash: '9 4',
    mark: { shape: 'square', path: 'M3 3h10v10h-10z', character: '■' },
  },
  MQA: {
    name: 'multi-query attention',
    hue: 70,
    colour: { light: '#b5781b', dark: '#eaa52f' },
    dash: '2 4',
    mark: { shape: 'triangle', path: 'M8 2l6 11.5h-12z', character: '▲' },
  },
  MLA: {
    name: 'multi-head latent attention',
    hue: 340,
    colour: { light: '#a52c90', dark: '#e8459a' },
    dash: '9 3 2 3',
    mark: { shape: 'diamond', path: 'M8 1.5l6.5 6.5l-6.5 6.5l-6.5-6.5z', character: '◆' },
  },
}
