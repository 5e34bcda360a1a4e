export function prepare(): Promise<void>
export function prepareFiles(): Promise<void>
