/** Light or dark ground of a picture. Text, lines and ramps are chosen for it. */
export type Theme = 'light' | 'dark'

export interface Grounds {
  paper: string
  surface: string
  /** blocks that stand for something not there */
  sunken: string
  /** hairlines */
  line: string
  /** outlines that must be seen, at least 3:1 */
  edge: string
  ink: string
  /** secondary text, at least 5.7:1 */
  quiet: string
}

export const grounds: Record<Theme, Grounds> = {
  light: {
    paper: '#f6f6f4',
    surface: '#ffffff',
    sunken: '#ececea',
    line: '#dadbd8',
    edge: '#7f8285',
    ink: '#16181d',
    quiet: '#565b64',
  },
  dark: {
    paper: '#0e1114',
    surface: '#15191d',
    sunken: '#20252b',
    line: '#2c323a',
    edge: '#6d7580',
    ink: '#eceef0',
    quiet: '#a5adb7',
  },
}
