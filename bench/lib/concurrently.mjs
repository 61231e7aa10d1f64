/** Keeps `width` calls of `one` going until `n` were made; ends when the last has ended. */
export async function concurrently(n, width, one) {
  let left = n
  const lane = async () => {
    while (left > 0) {
      left--
      await one()
    }
  }
  await Promise.all(Array.from({ length: Math.min(n, width) }, lane))
}

/** The same for calls that take a callback: no promise on the clock of a peer that makes none. */
export function concurrentlyWithCallbacks(n, width, one) {
  return new Promise((resolve, reject) => {
    let left = n
    let running = 0
    const next = (error) => {
      if (error) return reject(error)
      running--
      if (left > 0) begin()
      else if (running === 0) resolve()
    }
    const begin = () => {
      left--
      running++
      one(next)
    }
    for (let i = 0; i < width && left > 0; i++) begin()
  })
}
