export function isCompiled(root?: string): boolean
export function compileSources(root?: string): Promise<string[]>
