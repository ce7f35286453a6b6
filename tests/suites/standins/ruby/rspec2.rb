# Words of RSpec 2 that RSpec 3 has renamed.
require "rspec"

module RSpec::Matchers
  def be_true = be_truthy
  def be_false = be_falsey
end
