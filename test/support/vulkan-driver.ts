import { existsSync } from 'node:fs'

const drivers = [
  process.env.VK_ICD_FILENAMES,
  process.env.VK_DRIVER_FILES,
  // SwiftShader, a Vulkan driver in software, comes with Debian's chromium package.
  '/usr/lib/chromium/vk_swiftshader_icd.json',
]
const loaders = ['x86_64-linux-gnu', 'aarch64-linux-gnu', '.'].map((folder) => `/usr/lib/${folder}/libvulkan.so.1`)

/**
 * A Vulkan driver's manifest that WebGPU can be tried on, GPU or software; null where there is none, or no loader
 * (Debian's libvulkan1) to find it.
 */
export function findVulkanDriver(): string | null {
  if (!loaders.some((loader) => existsSync(loader))) return null
  return drivers.find((driver) => driver !== undefined && existsSync(driver)) ?? null
}
