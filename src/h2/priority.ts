// The value of `priority` and PRIORITY_UPDATE (RFC 9218 §4): a dictionary of structured fields, of which `u` and `i` are
// known. What is unknown or malformed is ignored, as RFC 9218 §4 asks: priority is a hint.
import { listMembers, misuse, parseDecimal } from '../http/index.ts'
import type { Priority } from '../http/index.ts'

const DEFAULT_URGENCY = 3
const MAX_URGENCY = 7

export function parsePriority(value: string): { readonly urgency: number; readonly incremental: boolean } {
  let urgency = DEFAULT_URGENCY
  let incremental = false
  for (const member of listMembers(value)) {
    // Parameters of a member mean nothing here.
    const [name, item = '?1'] = (member.split(';')[0] as string).split('=')
    if (name === 'i') incremental = item === '?1'
    else if (name === 'u') {
      const given = parseDecimal(item)
      urgency = given >= 0 && given <= MAX_URGENCY ? given : DEFAULT_URGENCY
    }
  }
  return { urgency, incremental }
}

/** The field's value; '' where all is default. LocalProtocolError: an urgency outside 0 to 7. */
export function formatPriority({ urgency = DEFAULT_URGENCY, incremental = false }: Priority): string {
  if (!Number.isInteger(urgency) || urgency < 0 || urgency > MAX_URGENCY) {
    throw misuse('priority', 'RFC 9218 §4.1', `${urgency} is not an urgency from 0 to ${MAX_URGENCY}`)
  }
  return [urgency === DEFAULT_URGENCY ? '' : `u=${urgency}`, incremental ? 'i' : '']
    .filter((part) => part !== '')
    .join(', ')
}
