export interface DiversityPrompt {
  /** what kind of text it is; unique */
  name: string
  text: string
}

/**
 * Twelve short prompts over which head diversity is estimated where none are given: 12 to 60 tokens each in GPT-2's
 * encoding, of kinds that make heads do different things (repeats for induction, brackets and indents, names to refer
 * back to, digits, other languages). Written for this purpose, so that no model has met them. What is estimated over
 * them holds for short texts like these.
 */
export const diversityPrompts: readonly DiversityPrompt[] = [
  {
    name: 'prose',
    text: 'The ferry left the harbour an hour late, and by the time the lighthouse came into view most of the passengers had fallen asleep over their coats.',
  },
  {
    name: 'names',
    text: 'Ruth lent Omar her bicycle on Monday. When Omar brought it back, Ruth saw that he had mended the bell.',
  },
  {
    name: 'dialogue',
    text: '"Did you lock the shed?" asked Ines.\n"I thought you did," said her brother.\n"Then who has the key?"',
  },
  {
    name: 'list',
    text: 'Shopping:\n- six lemons\n- brown sugar\n- two loaves of rye bread\n- candles\n- a ball of string',
  },
  {
    name: 'code',
    text: 'def count_even(numbers):\n    total = 0\n    for number in numbers:\n        if number % 2 == 0:\n            total += 1\n    return total',
  },
  {
    name: 'repeated phrase',
    text: 'green kettle under the stairs, blue violin by the gate; green kettle under the stairs, blue violin by the gate; green kettle under the',
  },
  {
    name: 'numbers',
    text: 'Day 1: 14 mm of rain. Day 2: 9 mm. Day 3: 0 mm. Day 4: 27 mm. In four days that makes 50 mm.',
  },
  {
    name: 'German',
    text: 'Im Garten hinter dem Haus steht ein alter Birnbaum, der jedes Jahr später blüht als die anderen.',
  },
  {
    name: 'Spanish',
    text: 'Cada tarde, la panadera cuenta las monedas, apaga el horno y deja la puerta abierta para el gato.',
  },
  {
    name: 'instructions',
    text: 'To clean the pump, first close the valve. Then loosen both screws, lift the lid, rinse the filter under cold water and put everything back in reverse order.',
  },
  {
    name: 'argument',
    text: 'If every heron eats fish, and nothing in this pond eats fish, then no bird in this pond is a heron.',
  },
  {
    name: 'letter',
    text: 'Dear Mr. Almeida,\n\nThank you for the map. We found the well, but not the mill; was it perhaps on the other bank?\n\nKind regards,\nTove',
  },
]
