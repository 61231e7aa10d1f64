// Any bytes from a server, behind its SETTINGS, while two requests wait for their answers.
import { H2Connection } from '../src/h2/index.ts'
import { hex, sameHoweverCut } from './lib/machine.ts'

const settings = hex('000000 04 00 00000000 000000 04 01 00000000')
export const seeds: readonly Uint8Array[] = [
  hex('000001 01 04 00000001 88 000005 00 01 00000001 68656c6c6f'),
  hex('000001 01 05 00000003 89 000004 03 00 00000001 00000007'),
  hex('000008 07 00 00000000 0000000000000000'),
  hex('000008 06 00 00000000 0102030405060708 000004 08 00 00000000 00000001'),
]

export function fuzz(input: Uint8Array): void {
  const bytes = new Uint8Array(settings.length + input.length)
  bytes.set(settings)
  bytes.set(input, settings.length)
  sameHoweverCut(bytes, () => {
    const machine = new H2Connection('client', { now: 0, frameEvents: true })
    for (let i = 0; i < 2; i++) {
      machine.sendRequest({ method: 'GET', scheme: 'http', authority: 'h', target: '/', headers: [] }, { end: true })
    }
    machine.takeOutput()
    return machine
  })
}
