# In the place of Bundler: Debian's libraries are found without it.
module Bundler
  def self.setup(*); end

  def self.require(*)
    %w[rspec set sorted_set].each { |library| Kernel.require library }
  rescue LoadError
    # a suite that wants it says so
  end
end
